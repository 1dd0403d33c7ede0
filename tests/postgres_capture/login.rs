//! Logging in: TLS as libpq means it, clear errors, no password anywhere, poolers.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use drydock::context::Context;
use drydock::data::postgres::connect::Server;
use drydock::data::postgres::{PostgresError, open};
use drydock::failure::{Category, Failure};

use crate::helpers::{Store, clients, server, spec, spec_of};
use crate::support::postgres::Postgres;
use crate::support::{self, Folder, free_port, give_away, run, wait_until};

const PASSWORD: &str = "s3cret-of-the-test";

/// A CA, and a certificate for `localhost` that it signed.
struct Certificates(Folder);

impl Certificates {
    fn make() -> Self {
        let folder = Folder::new("certificates");
        let script = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=the-ca -keyout ca.key -out ca.crt &&
            openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=another-ca -keyout other.key -out other.crt &&
            openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr &&
            printf 'subjectAltName=DNS:localhost' > san &&
            openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.crt &&
            chmod 600 server.key";
        run(Command::new("sh").args(["-ec", script]).current_dir(folder.path()));
        give_away(folder.path());
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

fn secure_server(certificates: &Certificates) -> Postgres {
    let (cert, key) = (certificates.path("server.crt"), certificates.path("server.key"));
    let server = Postgres::start_with(
        "15",
        &[
            "ssl=on",
            &format!("ssl_cert_file={cert}"),
            &format!("ssl_key_file={key}"),
            "password_encryption=scram-sha-256",
        ],
    );
    let roles = format!(
        "create role tls_only superuser login password '{PASSWORD}'; create role plain_only login password '{PASSWORD}'"
    );
    server.psql("postgres", &roles);
    let hba = "hostssl all tls_only all scram-sha-256\nhost all tls_only all reject\n\
               hostnossl all plain_only all scram-sha-256\nhost all plain_only all reject\nhost all postgres all trust\n";
    std::fs::write(server.data_folder().join("pg_hba.conf"), hba).unwrap();
    server.psql("postgres", "select pg_reload_conf()");
    wait_until("pg_hba.conf", Duration::from_secs(10), || {
        let login = format!("host=127.0.0.1 port={} user=plain_only sslmode=disable", server.port);
        let refused =
            Command::new("psql").args(["-w", "-d", &format!("{login} dbname=postgres"), "-c", ""]).output().unwrap();
        String::from_utf8_lossy(&refused.stderr).contains("password")
    });
    server
}

async fn ask(yaml: &str) -> Result<String, PostgresError> {
    let session = Server::new(&spec_of(&format!("{{{yaml}, database: postgres}}")))?.connect("postgres").await?;
    session.text("asking", "select ssl::text from pg_stat_ssl where pid = pg_backend_pid()").await
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_means_what_libpq_means() {
    let certificates = Certificates::make();
    let server = secure_server(&certificates);
    let folder = Folder::new("secrets");
    let file = folder.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let login = |user: &str, host: &str, tls: &str| {
        format!(
            "host: {host}, port: {}, user: {user}, password: {{fromFile: {}}}, tls: {tls}",
            server.port,
            file.display()
        )
    };
    let with_ca = |tls: String, ca: &str| format!("{tls}, caFile: {}", certificates.path(ca));

    assert_eq!(ask(&login("tls_only", "localhost", "prefer")).await.unwrap(), "true");
    assert_eq!(ask(&login("tls_only", "localhost", "require")).await.unwrap(), "true");
    assert_eq!(ask(&login("plain_only", "localhost", "prefer")).await.unwrap(), "false", "prefer falls back");
    assert_eq!(ask(&login("plain_only", "localhost", "disable")).await.unwrap(), "false");
    let full = with_ca(login("tls_only", "localhost", "verify-full"), "ca.crt");
    assert_eq!(ask(&full).await.unwrap(), "true");

    let refused = |error: Result<String, PostgresError>| error.unwrap_err();
    for (login, expected) in [
        (login("tls_only", "localhost", "disable"), "refuses the login of `tls_only`"),
        (login("plain_only", "localhost", "require"), "refuses the login of `plain_only`"),
        (with_ca(login("tls_only", "localhost", "verify-full"), "other.crt"), "no TLS connection"),
        (with_ca(login("tls_only", "127.0.0.1", "verify-full"), "ca.crt"), "no TLS connection"),
        (login("tls_only", "localhost", "verify-full"), "no TLS connection"),
        (with_ca(login("tls_only", "localhost", "verify-full"), "missing.crt"), "cannot read `caFile`"),
        (with_ca(login("tls_only", "localhost", "verify-full"), "server.key"), "no certificate"),
    ] {
        let error = refused(ask(&login).await);
        assert!(error.to_string().contains(expected), "{login}: {error}");
        assert_eq!((error.category(), error.hint().is_some()), (Category::Usage, true), "{login}");
    }
    let without = crate::helpers::server("16");
    let error = refused(ask(&format!("host: 127.0.0.1, port: {}, user: postgres, tls: require", without.port)).await);
    assert!(error.to_string().contains("does not support TLS"), "{error}");
    assert_eq!(
        ask(&format!(
            "host: {}, port: {}, user: postgres, tls: require",
            without.socket_folder().display(),
            without.port
        ))
        .await
        .unwrap(),
        "false",
        "a unix socket needs none"
    );

    // PostgreSQL's own programs log in the same way, with the strictest setting.
    let store = Store::new().await;
    let spec = spec_of(&format!("{{{full}, database: postgres}}"));
    store.capture(&spec).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_an_unknown_database_and_a_full_server_are_told_apart() {
    let server = Postgres::start_with("16", &["max_connections=6", "superuser_reserved_connections=1"]);
    server.psql("postgres", &format!("create role app login password '{PASSWORD}'; create role late login"));
    let hba = "host all app all scram-sha-256\nhost all all all trust\n";
    std::fs::write(server.data_folder().join("pg_hba.conf"), hba).unwrap();
    server.psql("postgres", "select pg_reload_conf(), pg_sleep(0.2)");
    let folder = Folder::new("secrets");
    let file = folder.path().join("password");
    std::fs::write(&file, "not the password").unwrap();
    let login = |user: &str| format!("host: 127.0.0.1, port: {}, user: {user}", server.port);

    let error = ask(&format!("{}, password: {{fromFile: {}}}", login("app"), file.display())).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "PostgreSQL at 127.0.0.1:{} refuses the login of `app`: password authentication failed for user \"app\"",
            server.port
        )
    );
    let error = ask(&login("app")).await.unwrap_err();
    assert!(matches!(error, PostgresError::Authentication { .. }), "{error:?}");
    let error = ask(&format!("{}, password: {{fromFile: /no/such/file}}", login("app"))).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot read the secret file /no/such/file");

    let error = Server::new(&spec(&server, "x")).unwrap().connect("no such").await.unwrap_err();
    assert_eq!(error.to_string(), format!("there is no database `no such` at 127.0.0.1:{}", server.port));
    assert_eq!(error.category(), Category::Usage);

    let mut held = Vec::new();
    let late = Server::new(&spec_of(&format!("{{{}, database: postgres}}", login("late")))).unwrap();
    let error = loop {
        match late.connect("postgres").await {
            Ok(session) => held.push(session),
            Err(error) => break error,
        }
        assert!(held.len() < 10);
    };
    assert!(matches!(error, PostgresError::TooManyConnections { .. }), "{error:?}");
    assert_eq!(error.category(), Category::Unavailable);

    let gone = ask(&format!("host: 127.0.0.1, port: {}, user: x", free_port())).await.unwrap_err();
    assert!(gone.to_string().starts_with("cannot connect to PostgreSQL at 127.0.0.1"), "{gone}");
    assert_eq!(gone.category(), Category::Unavailable);
}

/// A folder of client programs that note how they were started.
fn noting_clients(folder: &Path, real: &Path) -> PathBuf {
    for program in ["pg_dump", "pg_dumpall", "pg_restore"] {
        let script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"{program} $*\" >> {0}/arguments\nexec {1}/{program} \"$@\"\n",
            folder.display(),
            real.display()
        );
        let path = folder.join(program);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_is_in_no_argument_error_or_debug_output() {
    let server = Postgres::start("16");
    server.psql("postgres", &format!("create role boss superuser login password '{PASSWORD}'"));
    std::fs::write(
        server.data_folder().join("pg_hba.conf"),
        "host all boss all scram-sha-256\nhost all all all trust\n",
    )
    .unwrap();
    server.psql("postgres", "select pg_reload_conf(), pg_sleep(0.2)");
    let folder = Folder::new("noting");
    let file = folder.path().join("password");
    std::fs::write(&file, PASSWORD).unwrap();
    let clients = noting_clients(folder.path(), &clients(&server));
    let spec = spec_of(&format!(
        "{{host: 127.0.0.1, port: {}, user: boss, password: {{fromFile: {}}}, database: postgres, clientBinaries: {}}}",
        server.port,
        file.display(),
        clients.display()
    ));
    let store = Store::new().await;
    let taken = store.taken(&spec).await;
    let arguments = std::fs::read_to_string(folder.path().join("arguments")).unwrap();
    assert!(
        arguments.contains("pg_dump --no-password --format=custom") && arguments.contains("pg_dumpall"),
        "{arguments}"
    );
    assert!(!arguments.contains(PASSWORD), "{arguments}");
    assert!(!format!("{:?} {:?}", Server::new(&spec).unwrap(), spec).contains(PASSWORD));
    for file in ["manifest.json", "RESTORE.md", "globals.sql"] {
        assert!(!String::from_utf8(taken.bytes(file)).unwrap().contains(PASSWORD), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_are_too_old_are_said_to_be() {
    let error = open(
        &spec_of(&format!("{{host: 127.0.0.1, port: {}, user: postgres, database: postgres, clientBinaries: /usr/lib/postgresql/15/bin}}", server("18").port)),
        &Context::default(),
    )
    .await
    .unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("there is no pg_dump of version 18 or later for the server at"), "{text}");
    assert!(text.contains("found: 15.") && error.hint().unwrap().contains("postgresql-client-18"), "{text}");
}

struct Bouncer {
    port: u16,
    _server: support::Server,
    _folder: Folder,
}

fn pgbouncer(server: &Postgres, mode: &str) -> Bouncer {
    let folder = Folder::new("pgbouncer");
    let port = free_port();
    std::fs::write(folder.path().join("users"), "\"postgres\" \"\"\n").unwrap();
    let config = format!(
        "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
         auth_type = trust\nauth_file = {}/users\npool_mode = {mode}\nignore_startup_parameters = extra_float_digits\n",
        server.port,
        folder.path().display()
    );
    std::fs::write(folder.path().join("config"), config).unwrap();
    give_away(folder.path());
    let config = folder.path().join("config").display().to_string();
    let process = support::Server::start(Path::new("/usr/sbin/pgbouncer"), &[&config], &folder.path().join("log"));
    wait_until("PgBouncer", Duration::from_secs(10), || {
        let args = ["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "postgres", "-d", "postgres", "-c", "select 1"];
        Command::new("psql").args(args).output().unwrap().status.success()
    });
    Bouncer { port, _server: process, _folder: folder }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_transaction_mode_is_recognised_and_one_in_session_mode_serves() {
    let server = server("16");
    let through = |bouncer: &Bouncer| {
        spec_of(&format!(
            "{{host: 127.0.0.1, port: {}, user: postgres, database: postgres, clientBinaries: {}}}",
            bouncer.port,
            clients(server).display()
        ))
    };
    for mode in ["transaction", "statement"] {
        let bouncer = pgbouncer(server, mode);
        let error = open(&through(&bouncer), &Context::default()).await.unwrap_err();
        assert!(error.to_string().contains("is a connection pooler"), "{mode}: {error}");
        assert_eq!(error.category(), Category::Usage);
    }
    let bouncer = pgbouncer(server, "session");
    Store::new().await.capture(&through(&bouncer)).await.unwrap();
}
