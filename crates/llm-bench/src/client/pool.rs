use std::collections::HashMap;

use crate::client::connect::Connector;
use crate::client::connection::Connection;
use crate::target::Origin;

/// The idle connections of a measuring thread.
#[derive(Debug)]
pub(crate) struct Pool {
    connector: Connector,
    /// Whether every request opens its own connection.
    new_connections: bool,
    idle: HashMap<Origin, Vec<Connection>>,
}

impl Pool {
    pub(crate) fn new(connector: Connector, new_connections: bool) -> Self {
        let idle = HashMap::new();
        Self {
            connector,
            new_connections,
            idle,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.idle.values().all(Vec::is_empty)
    }

    pub(crate) fn connector(&self) -> Connector {
        self.connector.clone()
    }

    /// The idle connection that was used last, which is the least likely to be closed.
    pub(crate) fn take(&mut self, origin: &Origin) -> Option<Connection> {
        self.idle.get_mut(origin)?.pop()
    }

    pub(crate) fn put_back(&mut self, origin: &Origin, connection: Connection) {
        if self.new_connections {
            return;
        }
        match self.idle.get_mut(origin) {
            Some(idle) => idle.push(connection),
            None => {
                self.idle.insert(origin.clone(), vec![connection]);
            }
        }
    }
}
