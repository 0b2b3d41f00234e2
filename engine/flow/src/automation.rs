//! In charge of where a run of an automation stands in its tree of steps, and which step comes next.
//! Invariant: pure: a position is told what a step did and says what is next; it survives as JSON.
//! Invariant: a step is entered once for each item of the loops around it, in order.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// A loop that is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loop {
    /// The name under which its steps see the present item.
    pub name: String,
    /// What is gone through.
    pub items: Vec<Json>,
    /// Which of them it is at.
    #[serde(default)]
    pub at: usize,
}

/// A list of steps that is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Frame {
    steps: Vec<String>,
    at: usize,
    #[serde(rename = "loop", default, skip_serializing_if = "Option::is_none")]
    around: Option<Loop>,
}

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    frames: Vec<Frame>,
}

impl Position {
    /// At the first of the top steps.
    #[must_use]
    pub fn begin(root: Vec<String>) -> Self {
        let mut position = Self { frames: vec![Frame { steps: root, at: 0, around: None }] };
        position.settle();
        position
    }

    /// The step that is next; none at the end.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        self.frames.last().and_then(|frame| frame.steps.get(frame.at)).map(String::as_str)
    }

    /// The present items of the loops around, the innermost last.
    pub fn items(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.frames.iter().filter_map(|frame| frame.around.as_ref()).filter_map(|around| Some((around.name.as_str(), around.items.get(around.at)?)))
    }

    /// The step is done.
    pub fn next(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.at += 1;
        }
        self.settle();
    }

    /// The step is done and leads into a list, once.
    pub fn enter(&mut self, steps: Vec<String>) {
        self.descend(steps, None);
    }

    /// The step is done and leads into a list, once for each item.
    pub fn repeat(&mut self, steps: Vec<String>, around: Loop) {
        if around.items.is_empty() {
            self.next();
        } else {
            self.descend(steps, Some(around));
        }
    }

    /// The list that the step stands in ends here; a loop goes on with its next item.
    pub fn leave(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.at = frame.steps.len();
        }
        self.settle();
    }

    fn descend(&mut self, steps: Vec<String>, around: Option<Loop>) {
        if let Some(frame) = self.frames.last_mut() {
            frame.at += 1;
        }
        self.frames.push(Frame { steps, at: 0, around });
        self.settle();
    }

    /// Climbs out of lists that are done.
    fn settle(&mut self) {
        while let Some(frame) = self.frames.last_mut() {
            if frame.at < frame.steps.len() {
                return;
            }
            match &mut frame.around {
                Some(around) if around.at + 1 < around.items.len() && !frame.steps.is_empty() => {
                    around.at += 1;
                    frame.at = 0;
                    return;
                }
                Some(_) | None => {
                    self.frames.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn steps_come_in_order_through_branches_and_loops() {
        let mut position = Position::begin(names("a each z"));
        let mut seen = Vec::new();
        while let Some(step) = position.step().map(str::to_owned) {
            let item = position.items().last().map(|(_, item)| item.to_string()).unwrap_or_default();
            seen.push(format!("{step}{item}"));
            match step.as_str() {
                "each" => position.repeat(names("b branch"), Loop { name: "one".to_owned(), items: vec![1.into(), 2.into()], at: 0 }),
                "branch" => position.enter(names("c")),
                _ => position.next(),
            }
            let kept: Position = serde_json::from_value(serde_json::to_value(&position).expect("json")).expect("a position");
            assert_eq!(kept, position);
        }
        assert_eq!(seen.join(" "), "a each b1 branch1 c1 b2 branch2 c2 z");
    }

    #[test]
    fn leaving_ends_the_list_alone() {
        let mut position = Position::begin(names("each z"));
        position.repeat(names("stop never"), Loop { name: "one".to_owned(), items: vec![1.into(), 2.into()], at: 0 });
        position.leave();
        assert_eq!((position.step(), position.items().count()), (Some("stop"), 1));
        position.leave();
        assert_eq!(position.step(), Some("z"));
        position.leave();
        assert_eq!(position.step(), None);
    }

    #[test]
    fn nothing_to_go_through_is_passed() {
        let mut position = Position::begin(names("each z"));
        position.repeat(names("b"), Loop { name: "one".to_owned(), items: Vec::new(), at: 0 });
        assert_eq!(position.step(), Some("z"));
        assert_eq!(Position::begin(Vec::new()).step(), None);
    }
}
