//! The listeners that a shim keeps inside the pod, one per Service port.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, TcpListener};
use std::os::fd::OwnedFd;

use crate::network::Redirect;
use crate::outcome::Warning;

/// Dropped entries are closed.
pub(super) struct Listeners {
    may_redirect: bool,
    kept: Vec<Listener>,
}

struct Listener {
    service: SocketAddrV4,
    // Before the socket, so that nobody is led to a port where nobody listens.
    _redirect: Option<Redirect>,
    socket: OwnedFd,
}

impl Listeners {
    /// `may_redirect`: the namespace is not the machine's own, whose rules are not ours to change.
    pub(super) fn new(may_redirect: bool) -> Self {
        Self { may_redirect, kept: Vec::new() }
    }

    /// The listener for `service`, the kept one when there is one.
    pub(super) fn open(&mut self, service: SocketAddrV4) -> io::Result<(OwnedFd, Option<Warning>)> {
        if let Some(listener) = self.kept.iter().find(|listener| listener.service == service) {
            return Ok((listener.socket.try_clone()?, None));
        }
        let (listener, warning) = if self.may_redirect && service.ip().is_loopback() && service.port() != 0 {
            Listener::beside(service).map(|listener| (listener, None)).or_else(|reason| {
                let listener = Listener::directly(service).map_err(|error| both(&error, &reason))?;
                let reason = reason.to_string();
                Ok::<_, io::Error>((listener, Some(Warning::PortTaken { service, reason })))
            })?
        } else {
            (Listener::directly(service)?, None)
        };
        let copy = listener.socket.try_clone()?;
        self.kept.push(listener);
        Ok((copy, warning))
    }

    pub(super) fn close(&mut self, service: SocketAddrV4) {
        self.kept.retain(|listener| listener.service != service);
    }

    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }
}

impl Listener {
    /// On a port of the kernel's choice, to which the Service's port is led.
    fn beside(service: SocketAddrV4) -> io::Result<Self> {
        let socket = TcpListener::bind((*service.ip(), 0))?;
        let SocketAddr::V4(chosen) = socket.local_addr()? else {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        };
        let redirect = Redirect::new(service, chosen)?;
        Ok(Self { service, _redirect: Some(redirect), socket: socket.into() })
    }

    fn directly(service: SocketAddrV4) -> io::Result<Self> {
        Ok(Self { service, _redirect: None, socket: TcpListener::bind(service)?.into() })
    }
}

fn both(error: &io::Error, reason: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{error}; leading it to another port failed, too: {reason}"))
}
