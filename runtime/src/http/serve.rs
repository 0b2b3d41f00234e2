//! In charge of connections: taken, limited, and ended in good order.
//! Invariant: a client that dawdles over its headers is dropped; the others do not notice.
//! Invariant: when the server stops, requests under way are finished, up to a limit.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::ServiceExt;

/// How long a client may take for its headers.
const HEADERS: Duration = Duration::from_secs(10);
/// How long requests under way may take when the server stops.
const FAREWELL: Duration = Duration::from_secs(8);
/// How long to wait when the machine has no more sockets.
const BREATHER: Duration = Duration::from_millis(100);

/// Serves until `stop` ends.
///
/// # Errors
/// None that end it; what goes wrong with one connection ends that one alone.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let mut server = Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS).keep_alive(true).max_buf_size(64 << 10);
    server.http2().timer(TokioTimer::new()).max_concurrent_streams(100).keep_alive_interval(Duration::from_secs(30)).max_header_list_size(64 << 10);
    let graceful = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection could be taken");
                tokio::time::sleep(BREATHER).await;
                continue;
            }
        };
        // Small answers must not wait for a full packet; a socket that refuses works all the same.
        let _slower = stream.set_nodelay(true);
        let router = router.clone();
        let service = tower::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
            router.clone().oneshot(request)
        });
        let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned();
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::trace!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(FAREWELL, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still under way when the server stopped");
    }
}
