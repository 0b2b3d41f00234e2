//! In charge of the face for admins, which edits the documents. Nothing stands here yet: apps are edited as folders.
