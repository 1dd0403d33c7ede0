//! Rows of a real PostgreSQL against the files of a captured folder.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::{Arc, LazyLock};

use drydock::context::Context;
use drydock::data::references::{self, Checked, Outcome, ReferenceError, What, compare_gaps};
use drydock::data::{postgres, volume};
use drydock::failure::Failure;
use drydock::repository::{KeyCost, Repository, TreeId, WriterOptions};
use drydock::stack::{PostgresSpec, Reference, Secret, VolumeSpec};
use drydock::storage::LocalStore;
use support::Folder;
use support::postgres::Postgres;

static SERVER: LazyLock<Postgres> = LazyLock::new(|| Postgres::start("15"));

/// As Rails 6.1 migrates them (`active_storage:install`).
const ACTIVE_STORAGE: &str = "
create table active_storage_blobs (id bigserial primary key, key character varying not null,
    filename character varying not null, content_type character varying, metadata text,
    service_name character varying not null, byte_size bigint not null, checksum character varying,
    created_at timestamp without time zone not null);
create unique index index_active_storage_blobs_on_key on active_storage_blobs (key);
create table active_storage_attachments (id bigserial primary key, name character varying not null,
    record_type character varying not null, record_id bigint not null,
    blob_id bigint not null references active_storage_blobs (id), created_at timestamp without time zone not null);
create table active_storage_variant_records (id bigserial primary key,
    blob_id bigint not null references active_storage_blobs (id), variation_digest character varying not null);";

/// As Strapi 5 makes it.
const STRAPI: &str = "
create table files (id serial primary key, document_id varchar(255), name varchar(255), alternative_text varchar(255),
    caption varchar(255), width integer, height integer, formats jsonb, hash varchar(255), ext varchar(255),
    mime varchar(255), size numeric(10,2), url varchar(255), preview_url varchar(255), provider varchar(255),
    provider_metadata jsonb, folder_path varchar(255), created_at timestamp(6), updated_at timestamp(6),
    published_at timestamp(6), created_by_id integer, updated_by_id integer, locale varchar(255));";

/// A database, a folder of files, a repository.
struct Scene {
    database: &'static str,
    files: Folder,
    _store: Folder,
    repository: Repository,
}

impl Scene {
    async fn new(database: &'static str, schema: &str) -> Self {
        SERVER.create_database(database);
        SERVER.psql(database, schema);
        let folder = Folder::new("references-repository");
        let store = Arc::new(LocalStore::open(folder.path()).await.unwrap());
        let password: Secret = "a password".to_owned().into();
        let repository = Repository::create(store, &password, KeyCost::negligible()).await.unwrap();
        Self { database, files: Folder::new("references-files"), _store: folder, repository }
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.files.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Blobs as Rails puts them, attached to something or not; their ids. The checksum is PostgreSQL's own.
    fn blobs(&self, blobs: &[(&str, &[u8], bool)]) -> Vec<String> {
        let mut sql = String::new();
        for (key, content, attached) in blobs {
            self.write(&format!("{}/{}/{key}", &key[..2], &key[2..4]), content);
            sql += &format!(
                "with blob as (insert into active_storage_blobs
                    (key, filename, content_type, metadata, service_name, byte_size, checksum, created_at)
                 select '{key}', 'f', 'text/plain', '{{}}', 'local', length(c), encode(decode(md5(c), 'hex'), 'base64'), now()
                    from (select decode('{}', 'hex') c) c returning id),
                 attached as (insert into active_storage_attachments (name, record_type, record_id, blob_id, created_at)
                    select 'file', 'Message', 1, id, now() from blob where {attached})
                 select id from blob;",
                hex::encode(content)
            );
        }
        SERVER.psql(self.database, &sql).lines().map(str::to_owned).collect()
    }

    fn blob(&self, key: &str, content: &[u8], attached: bool) -> String {
        self.blobs(&[(key, content, attached)]).remove(0)
    }

    async fn capture(&self) -> TreeId {
        let options = WriterOptions { compression_level: 1, self_check: true, workers: 2 };
        let writer = self.repository.writer(options);
        let spec: VolumeSpec = serde_saphyr::from_str(&format!("{{path: {}}}", self.files.path().display())).unwrap();
        let captured = volume::capture(
            self.files.path(),
            &spec,
            &self.repository,
            &writer,
            None,
            &volume::CaptureOptions::default(),
            &Context::default(),
        )
        .await
        .unwrap();
        writer.finish().await.unwrap();
        captured.tree
    }

    async fn compare(&self, reference: &str, volume: &TreeId, known: &Checked) -> Result<Outcome, ReferenceError> {
        self.compare_under(reference, volume, known, &Context::default()).await
    }

    async fn compare_under(
        &self,
        reference: &str,
        volume: &TreeId,
        known: &Checked,
        cx: &Context,
    ) -> Result<Outcome, ReferenceError> {
        let spec: PostgresSpec = serde_saphyr::from_str(&format!(
            "{{host: 127.0.0.1, port: {}, database: {}, user: postgres, tls: disable}}",
            SERVER.port, self.database
        ))
        .unwrap();
        let reference: Reference = serde_saphyr::from_str(reference).unwrap();
        let source = postgres::open(&spec, &Context::default()).await.unwrap();
        let outcome = references::compare(&reference, &source, &self.repository, volume, known, cx).await;
        source.close().await;
        outcome
    }
}

const RAILS: &str = "activeStorage: {database: chatwoot-db, volume: chatwoot-uploads}";

fn gaps(outcome: &Outcome) -> Vec<(&str, &str, String)> {
    outcome.gaps.iter().map(|gap| (gap.row.as_str(), gap.file.as_str(), gap.problem())).collect()
}

#[tokio::test]
async fn every_attached_blob_is_there_with_its_size_and_checksum_or_is_named() {
    let scene = Scene::new("chatwoot", ACTIVE_STORAGE).await;
    let many: Vec<(String, String)> =
        (0..40).map(|i| (format!("k{i:02}xuploaded"), format!("content of {i}").repeat(i * 3))).collect();
    scene.blobs(&many.iter().map(|(key, content)| (key.as_str(), content.as_bytes(), true)).collect::<Vec<_>>());
    let lost = scene.blob("lostlostlost", b"gone", true);
    let short = scene.blob("shortshort", b"complete", true);
    let other = scene.blob("otherother", b"as it was", true);
    let variant = scene.blob("variantvariant", b"small image", false);
    let never = scene.blob("neverarrived", b"upload", false);
    SERVER.psql(
        "chatwoot",
        &format!(
            "insert into active_storage_variant_records (id, blob_id, variation_digest) values (1, 1, 'abc');
             insert into active_storage_attachments (name, record_type, record_id, blob_id, created_at)
                values ('image', 'ActiveStorage::VariantRecord', 1, {variant}, now());
             insert into active_storage_blobs (id, key, filename, service_name, byte_size, checksum, created_at)
                values (900, 'composedcomposed', 'f', 'local', 3, null, now());
             insert into active_storage_attachments (name, record_type, record_id, blob_id, created_at)
                values ('file', 'Message', 1, 900, now())"
        ),
    );
    scene.write("co/mp/composedcomposed", b"abc");
    let whole = scene.capture().await;
    let outcome = scene.compare(RAILS, &whole, &Checked::default()).await.unwrap();
    assert_eq!(gaps(&outcome), []);
    let summary = &outcome.summary;
    assert_eq!((summary.rows, summary.files, summary.files_without_checksum), (45, 45, 1));
    assert_eq!((summary.checksums_computed, summary.checksums_taken_over), (44, 0));

    // The next point: nothing is read again, as long as nothing has changed.
    let known = Checked::from_bytes(&outcome.checked.to_bytes()).unwrap();
    std::fs::remove_file(scene.files.path().join("lo/st/lostlostlost")).unwrap();
    std::fs::remove_file(scene.files.path().join("va/ri/variantvariant")).unwrap();
    std::fs::remove_file(scene.files.path().join("ne/ve/neverarrived")).unwrap();
    scene.write("sh/or/shortshort", b"com");
    scene.write("ot/he/otherother", b"AS IT WAS");
    let damaged = scene.capture().await;
    let outcome = scene.compare(RAILS, &damaged, &known).await.unwrap();
    let found = "MD5 73fd4f25b1a70aa2af24e3c7ce2a1a7f".len();
    assert_eq!(
        outcome.gaps.iter().map(|gap| (gap.row.clone(), gap.what)).collect::<Vec<_>>(),
        [
            (format!("active_storage_blobs id {lost}"), What::Missing),
            (format!("active_storage_blobs id {short}"), What::Size),
            (format!("active_storage_blobs id {variant}"), What::Missing),
            (format!("active_storage_blobs id {other}"), What::Checksum),
        ]
    );
    assert_eq!(outcome.gaps[1].problem(), "3 bytes where 8 bytes is recorded");
    assert_eq!((outcome.gaps[3].expected.len(), outcome.gaps[3].found.len()), (found, found));
    assert!(!outcome.gaps.iter().any(|gap| gap.row.ends_with(&format!("id {never}"))));
    assert_eq!((outcome.summary.checksums_computed, outcome.summary.checksums_taken_over), (1, 40));

    // A restore of that point: the known gaps are none, a further one is.
    let recorded = outcome.gaps.clone();
    assert!(compare_gaps(&recorded, outcome.gap_count, &outcome).holds());
    std::fs::remove_file(scene.files.path().join("k0/7x/k07xuploaded")).unwrap();
    let worse = scene.compare(RAILS, &scene.capture().await, &known).await.unwrap();
    let comparison = compare_gaps(&recorded, recorded.len() as u64, &worse);
    assert_eq!(comparison.difference_count, 1);
    assert_eq!(comparison.differences[0].what, "active_storage_blobs id 8 → k0/7x/k07xuploaded");
}

#[tokio::test]
async fn uploads_and_their_formats_are_files_below_public_uploads() {
    let scene = Scene::new("strapi", STRAPI).await;
    let png = |bytes: usize| vec![7; bytes];
    scene.write("cat_1a.png", &png(12_347));
    scene.write("thumbnail_cat_1a.png", &png(2_499));
    scene.write("small_cat_1a.png", &png(7_012));
    scene.write("doc_2b.pdf", &png(99));
    scene.write("robots.txt", b"an extra file is fine");
    SERVER.psql(
        "strapi",
        r#"insert into files (id, name, formats, hash, ext, size, url, provider) values
           (1, 'cat', '{"thumbnail": {"ext": ".png", "url": "/uploads/thumbnail_cat_1a.png", "hash": "thumbnail_cat_1a", "size": 2.5, "sizeInBytes": 2499},
                        "small": {"ext": ".png", "url": "/uploads/small_cat_1a.png", "hash": "small_cat_1a", "size": 7.01}}',
            'cat_1a', '.png', 12.35, '/uploads/cat_1a.png', 'local'),
           (2, 'doc', null, 'doc_2b', '.pdf', 0.10, '/uploads/doc_2b.pdf', 'local'),
           (3, 'elsewhere', null, 'x', '.png', 1, 'https://bucket.example/x.png', 'aws-s3')"#,
    );
    let reference = "strapiUploads: {database: strapi-db, volume: strapi-uploads}";
    let outcome = scene.compare(reference, &scene.capture().await, &Checked::default()).await.unwrap();
    assert_eq!(gaps(&outcome), []);
    assert_eq!((outcome.summary.rows, outcome.summary.files, outcome.summary.files_without_checksum), (2, 4, 0));

    scene.write("thumbnail_cat_1a.png", &png(2_498)); // one byte
    scene.write("small_cat_1a.png", &png(7_015)); // within what rounding allows
    scene.write("cat_1a.png", &png(12_356)); // one more than it allows
    std::fs::remove_file(scene.files.path().join("doc_2b.pdf")).unwrap();
    let outcome = scene.compare(reference, &scene.capture().await, &Checked::default()).await.unwrap();
    assert_eq!(
        gaps(&outcome),
        [
            ("files id 1", "cat_1a.png", "12356 bytes where 12.35 kB is recorded".to_owned()),
            (
                "files id 1 format thumbnail",
                "thumbnail_cat_1a.png",
                "2498 bytes where 2499 bytes is recorded".to_owned()
            ),
            ("files id 2", "doc_2b.pdf", "missing".to_owned()),
        ]
    );
    // The volume holds the uploads in a folder below its root.
    scene.write("public/uploads/cat_1a.png", &png(12_350));
    let below = "strapiUploads: {database: strapi-db, volume: strapi-uploads, folder: public/uploads}";
    let outcome = scene.compare(below, &scene.capture().await, &Checked::default()).await.unwrap();
    assert_eq!(outcome.summary.files, 1);
    let files: Vec<&str> = outcome.gaps.iter().map(|gap| gap.file.as_str()).collect();
    let wanted =
        ["public/uploads/small_cat_1a.png", "public/uploads/thumbnail_cat_1a.png", "public/uploads/doc_2b.pdf"];
    assert_eq!(files, wanted);
}

#[tokio::test]
async fn many_rows_are_compared_in_batches_and_a_lost_volume_is_counted() {
    let scene = Scene::new("many", ACTIVE_STORAGE).await;
    SERVER.psql(
        "many",
        "insert into active_storage_blobs (key, filename, service_name, byte_size, checksum, created_at)
            select substr(md5(i::text), 1, 28), 'f', case when i % 10 = 0 then 'amazon' else 'local' end, 2, null, now()
            from generate_series(1, 30000) i;
         insert into active_storage_attachments (name, record_type, record_id, blob_id, created_at)
            select 'file', 'Message', id, id, now() from active_storage_blobs",
    );
    let keys = SERVER.psql("many", "select key from active_storage_blobs where service_name = 'local'");
    for key in keys.lines().take(3000) {
        scene.write(&format!("{}/{}/{key}", &key[..2], &key[2..4]), b"ok");
    }
    let tree = scene.capture().await;
    let begun = std::time::Instant::now();
    let outcome = scene.compare(RAILS, &tree, &Checked::default()).await.unwrap();
    println!("30,000 rows in {:?}", begun.elapsed());
    assert_eq!((outcome.summary.rows, outcome.summary.files), (27_000, 3_000));
    assert_eq!((outcome.gap_count, outcome.gaps.len()), (24_000, Outcome::MAX_LISTED));
    let note = "compared are the blobs of the service local; say `service` if not these: amazon (3000)";
    assert_eq!(outcome.summary.notes, [note]);

    // Whoever says that the volume is the other service's mirror has that one's blobs looked for, and odd ones named.
    SERVER.psql(
        "many",
        "update active_storage_blobs set checksum = 'sha256-of-something' where id = 10;
         delete from active_storage_attachments where blob_id <> 10",
    );
    let key = SERVER.psql("many", "select key from active_storage_blobs where id = 10");
    scene.write(&format!("{}/{}/{key}", &key[..2], &key[2..4]), b"ok");
    let amazon = RAILS.replace("}", ", service: amazon}");
    let outcome = scene.compare(&amazon, &scene.capture().await, &Checked::default()).await.unwrap();
    assert_eq!((outcome.summary.rows, outcome.summary.files), (1, 1));
    let odd = ("active_storage_blobs id 10", "", "cannot be understood: its checksum is no MD5 in base64".to_owned());
    assert_eq!(gaps(&outcome), [odd]);
}

#[tokio::test]
async fn a_database_without_the_tables_and_a_cancellation_are_said() {
    let scene = Scene::new("empty", "create table files (id int)").await;
    scene.write("a", b"a");
    let tree = scene.capture().await;
    let error = scene.compare(RAILS, &tree, &Checked::default()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`activeStorage` finds no table active_storage_blobs with the columns id, key, byte_size, checksum"
    );
    assert_eq!(error.category().exit_code(), 2);
    let error = scene.compare("strapiUploads: {database: a, volume: b}", &tree, &Checked::default()).await.unwrap_err();
    assert!(matches!(error, ReferenceError::NoTable { table: "files", .. }), "{error}");

    // Another schema, and a name that needs quotes.
    SERVER.psql("empty", &format!("create schema \"Tenant-1\"; set search_path = \"Tenant-1\"; {ACTIVE_STORAGE}"));
    let outcome = scene.compare(RAILS, &tree, &Checked::default()).await.unwrap();
    assert_eq!(outcome.summary.rows, 0);
    let cx = Context::default();
    cx.cancel.cancel();
    let error = scene.compare_under(RAILS, &tree, &Checked::default(), &cx).await.unwrap_err();
    assert_eq!(error.category().exit_code(), 130);
}
