//! A way to a server that can be shut: to one test the server is away, and the others go on with it.

use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Forwards connections to a server while it is open.
pub struct Gate {
    /// `host:port` that pods and this machine reach.
    pub address: String,
    open: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Gate {
    /// An open gate on the node's own address, to `host:port`.
    pub fn to(server: &str) -> Gate {
        let node = std::env::var("NODE_IP").expect("NODE_IP, from `make -s endpoints`");
        Gate::at(&node, server)
    }

    fn at(here: &str, server: &str) -> Gate {
        let listener = TcpListener::bind((here, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let gate = Gate {
            address,
            open: Arc::new(AtomicBool::new(true)),
            ends: Arc::default(),
            connections: Arc::default(),
        };
        let (open, ends) = (gate.open.clone(), gate.ends.clone());
        let (connections, server) = (gate.connections.clone(), server.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                // One that comes while it is shut is ended at once, as by a host without the server.
                if open.load(Ordering::SeqCst) {
                    connect(client, &server, &connections);
                }
            }
        });
        gate
    }

    /// The server is away: what is connected is cut, and nobody comes through.
    pub fn shut(&self) {
        self.open.store(false, Ordering::SeqCst);
        let mut connections = self.lock();
        for connection in connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// It is back.
    pub fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        self.shut();
        // The thread that waits for the next connection gets one.
        let _ = TcpStream::connect(&self.address);
    }
}

fn connect(client: TcpStream, server: &str, connections: &Mutex<Vec<TcpStream>>) {
    let Ok(server) = TcpStream::connect(server) else {
        return;
    };
    let Ok(pair) = both(&client, &server) else {
        return;
    };
    let mut list = connections.lock().unwrap_or_else(PoisonError::into_inner);
    list.retain(|one| one.peer_addr().is_ok());
    list.extend(pair);
    forward(&client, &server);
    forward(&server, &client);
}

fn both(client: &TcpStream, server: &TcpStream) -> std::io::Result<[TcpStream; 2]> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    Ok([client.try_clone()?, server.try_clone()?])
}

fn forward(from: &TcpStream, to: &TcpStream) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else {
        return;
    };
    let _ = from.set_write_timeout(Some(Duration::from_secs(30)));
    std::thread::spawn(move || {
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// What a client hears through the gate; an error is an answer, too.
    fn asks(address: &str) -> Option<String> {
        let mut client = TcpStream::connect(address).ok()?;
        client.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        client.write_all(b"ping").ok()?;
        let mut heard = [0; 4];
        client.read_exact(&mut heard).ok()?;
        String::from_utf8(heard.to_vec()).ok()
    }

    #[test]
    fn a_shut_gate_lets_nobody_through_and_an_open_one_everybody() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for mut client in server.incoming().map_while(Result::ok) {
                let mut heard = [0; 4];
                if client.read_exact(&mut heard).is_ok() {
                    let _ = client.write_all(&heard);
                }
            }
        });
        let gate = Gate::at("127.0.0.1", &address);
        assert_eq!(asks(&gate.address).as_deref(), Some("ping"));
        let mut open = TcpStream::connect(&gate.address).unwrap();
        open.write_all(b"pi").unwrap();
        std::thread::sleep(Duration::from_millis(100));
        gate.shut();
        assert_eq!(asks(&gate.address), None);
        let mut heard = [0; 1];
        assert!(
            !matches!(open.read(&mut heard), Ok(1..)),
            "what is open is cut"
        );
        gate.open();
        assert_eq!(asks(&gate.address).as_deref(), Some("ping"));
    }
}
