use std::process::Command;
use std::time::Duration;

use super::{Folder, Server, cache, free_port, give_away, wait_until};

/// A SeaweedFS with its S3 API on loopback, one access key, no buckets.
pub struct Seaweed {
    pub port: u16,
    server: Server,
    _folder: Folder,
}

impl Seaweed {
    pub const ACCESS_KEY: &str = "drydock-test";
    pub const SECRET_KEY: &str = "drydock-test-secret";

    pub fn start() -> Self {
        let folder = Folder::new("seaweed");
        let config = folder.path().join("s3.json");
        let identity = serde_json::json!({"identities": [{"name": "test", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            "credentials": [{"accessKey": Self::ACCESS_KEY, "secretKey": Self::SECRET_KEY}]}]});
        std::fs::write(&config, identity.to_string()).unwrap();
        give_away(folder.path());
        // SeaweedFS derives gRPC ports by adding 10000; all ports must stay below 55536.
        let port = || std::iter::repeat_with(free_port).find(|p| *p < 55_000 && *p > 10_000).unwrap();
        let (master, volume, filer, s3) = (port(), port(), port(), port());
        let dir = format!("-dir={}", folder.path().display());
        let args = [
            "server".to_owned(),
            dir,
            "-ip=127.0.0.1".into(),
            "-ip.bind=127.0.0.1".into(),
            format!("-master.port={master}"),
            format!("-volume.port={volume}"),
            "-filer".into(),
            format!("-filer.port={filer}"),
            "-s3".into(),
            format!("-s3.port={s3}"),
            format!("-s3.config={}", config.display()),
            "-master.volumeSizeLimitMB=256".into(),
            "-volume.max=40".into(),
            "-master.electionTimeout=1s".into(),
        ];
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let server = Server::start(&cache().join("weed"), &args, &folder.path().join("log"));
        let this = Self { port: s3, server, _folder: folder };
        wait_until("SeaweedFS", Duration::from_secs(60), || {
            // Any HTTP answer but a connection error or 5xx.
            let out =
                Command::new("curl").args(["-s", "-o", "/dev/null", "-w", "%{http_code}", &this.endpoint()]).output();
            let code = String::from_utf8(out.unwrap().stdout).unwrap();
            code != "000" && !code.starts_with('5')
        });
        this
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Makes a bucket; SeaweedFS gives each volumes of its own, and has only so many.
    pub fn create_bucket(&self, name: &str) {
        use aws_sdk_s3::config::{Builder, Credentials, Region};
        let credentials = Credentials::new(Self::ACCESS_KEY, Self::SECRET_KEY, None, None, "test");
        let config = Builder::new().behavior_version_latest().endpoint_url(self.endpoint());
        let config = config.region(Region::new("us-east-1")).credentials_provider(credentials).force_path_style(true);
        let client = aws_sdk_s3::Client::from_conf(config.build());
        let made = async { client.create_bucket().bucket(name).send().await.map(drop).unwrap() };
        tokio::runtime::Runtime::new().unwrap().block_on(made);
    }

    pub fn pid(&self) -> u32 {
        self.server.pid()
    }
}
