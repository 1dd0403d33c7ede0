//! What a server says of itself: `INFO`. Pure.

/// The product and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerVersion {
    /// `redis` or `valkey`.
    pub(super) product: &'static str,
    pub(super) text: String,
    pub(super) major: u32,
    pub(super) minor: u32,
}

impl ServerVersion {
    pub(super) fn parse(product: &'static str, text: &str) -> Self {
        let mut numbers = text.split('.').map(|part| part.parse().unwrap_or(0));
        let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        Self { product, text: text.to_owned(), major, minor }
    }

    pub(super) fn at_least(&self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }

    /// Same product, major and minor version.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.product, self.major, self.minor) == (other.product, other.major, other.minor)
    }
}

impl std::fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.product, self.text)
    }
}

/// A replica as its primary lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Replica {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) online: bool,
    pub(super) offset: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Primary,
    Replica,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Info(Vec<(String, String)>);

impl Info {
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(':'));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.trim_end().to_owned())).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    pub(super) fn is_on(&self, name: &str) -> bool {
        self.number(name).is_some_and(|n| n != 0)
    }

    pub(super) fn version(&self) -> ServerVersion {
        match (self.get("valkey_version"), self.get("redis_version")) {
            (Some(text), _) => ServerVersion::parse("valkey", text),
            (None, text) => ServerVersion::parse("redis", text.unwrap_or("0")),
        }
    }

    pub(super) fn role(&self) -> Role {
        if self.get("role") == Some("slave") { Role::Replica } else { Role::Primary }
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.is_on("cluster_enabled") || self.get("redis_mode") == Some("cluster")
    }

    pub(super) fn is_sentinel(&self) -> bool {
        self.get("redis_mode") == Some("sentinel")
    }

    /// `host:port` of a replica's primary.
    pub(super) fn primary(&self) -> String {
        format!("{}:{}", self.get("master_host").unwrap_or("?"), self.get("master_port").unwrap_or("?"))
    }

    /// Keys in all databases.
    pub(super) fn keys(&self) -> u64 {
        let databases = self.0.iter().filter(|(name, _)| is_database(name));
        databases.filter_map(|(_, value)| part(value, "keys")?.parse::<u64>().ok()).sum()
    }

    /// Those attached now; snapshots that are being taken look like one without a port.
    pub(super) fn replicas(&self) -> Vec<Replica> {
        let listed = self.0.iter().filter(|(name, _)| {
            name.strip_prefix("slave").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
        });
        let parsed = listed.filter_map(|(_, value)| {
            Some(Replica {
                host: part(value, "ip")?.to_owned(),
                port: part(value, "port")?.parse().ok()?,
                online: part(value, "state") == Some("online"),
                offset: part(value, "offset").and_then(|o| o.parse().ok()).unwrap_or(0),
            })
        });
        parsed.filter(|replica| replica.port != 0).collect()
    }

    /// `module:name=ReJSON,ver=…` lines.
    pub(super) fn modules(&self) -> Vec<String> {
        let lines = self.0.iter().filter(|(name, _)| name == "module");
        lines.filter_map(|(_, value)| part(value, "name").map(str::to_owned)).collect()
    }
}

fn is_database(name: &str) -> bool {
    name.strip_prefix("db").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// `wanted=…` among `a=1,b=2`.
fn part<'a>(value: &'a str, wanted: &str) -> Option<&'a str> {
    value.split(',').find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == wanted).map(|(_, v)| v))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMARY: &str = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n\r\n# Replication\r\nrole:master\r\n\
        connected_slaves:2\r\nslave0:ip=10.0.0.7,port=6379,state=online,offset=420,lag=1\r\n\
        slave1:ip=10.0.0.9,port=0,state=wait_bgsave,offset=0,lag=0\r\nslave_read_only:1\r\n# Modules\r\n\
        module:name=ReJSON,ver=20609,api=1\r\n# Cluster\r\ncluster_enabled:0\r\n# Keyspace\r\n\
        db0:keys=3,expires=1,avg_ttl=5\r\ndb11:keys=4,expires=0,avg_ttl=0,subexpiry=0\r\n";

    #[test]
    fn a_primary_says_what_it_is() {
        let info = Info::parse(PRIMARY);
        assert_eq!(info.version().to_string(), "redis 7.0.15");
        assert!(info.version().at_least(6, 2) && !info.version().at_least(7, 2));
        assert_eq!((info.role(), info.is_cluster(), info.is_sentinel()), (Role::Primary, false, false));
        assert_eq!(info.keys(), 7);
        assert_eq!(info.modules(), ["ReJSON"]);
        let replica = Replica { host: "10.0.0.7".into(), port: 6379, online: true, offset: 420 };
        assert_eq!(info.replicas(), [replica]);
    }

    #[test]
    fn valkey_is_told_from_the_redis_that_it_says_it_is() {
        let info = Info::parse("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0\r\nrole:slave\r\n");
        assert_eq!(info.version().to_string(), "valkey 8.1.0");
        assert_eq!(info.role(), Role::Replica);
    }
}
