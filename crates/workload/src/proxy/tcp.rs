//! Bytes both ways.

use tokio::net::TcpStream;

use super::backends::Lease;
use super::listener::Port;
use super::sniff::Rewound;

/// Carries a connection until both sides closed it. The replica counts it as in flight all the while.
pub(super) async fn pass(mut client: Rewound, replica: Option<(TcpStream, Lease)>, port: &Port) {
    let (mut replica, lease) = match replica {
        Some(connected) => connected,
        None => match port.backends.connect().await {
            Ok(connected) => connected,
            // There is no way to tell the client but to close.
            Err(_) => return,
        },
    };
    let _ = tokio::io::copy_bidirectional(&mut client, &mut replica).await;
    drop(lease);
}
