//! The same data in every encoding has the same digest, other data has another, and no damage makes the reader panic.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

type Bytes = Vec<u8>;

/// A key's content as a client knows it.
#[derive(Debug, Clone, PartialEq)]
enum Data {
    String(Bytes),
    List(Vec<Bytes>),
    Set(BTreeSet<Bytes>),
    SortedSet(BTreeMap<Bytes, f64>),
    /// Value and time to live (0 = none).
    Hash(BTreeMap<Bytes, (Bytes, u64)>),
}

#[derive(Debug, Clone, PartialEq)]
struct Key {
    name: Bytes,
    expiry: Option<u64>,
    data: Data,
}

/// Writes RDB files, choosing among encodings by `choices`.
struct Builder {
    file: Bytes,
    choices: Vec<u8>,
    at: usize,
}

impl Builder {
    fn new(header: &str, choices: &[u8]) -> Self {
        Self { file: header.as_bytes().to_vec(), choices: choices.to_vec(), at: 0 }
    }

    fn choose(&mut self, of: u8) -> u8 {
        self.at += 1;
        if self.choices.is_empty() { 0 } else { self.choices[self.at % self.choices.len()] % of }
    }

    fn length(&mut self, n: usize) {
        match self.choose(4) {
            0 if n < 64 => self.file.push(n as u8),
            0 | 1 if n < 1 << 14 => self.file.extend([0x40 | (n >> 8) as u8, n as u8]),
            3 => {
                self.file.push(0x81);
                self.file.extend((n as u64).to_be_bytes());
            }
            _ => {
                self.file.push(0x80);
                self.file.extend((n as u32).to_be_bytes());
            }
        }
    }

    fn string(&mut self, string: &[u8]) {
        let integer = canonical_integer(string);
        match (self.choose(3), integer) {
            (0, Some(i)) if i8::try_from(i).is_ok() => self.file.extend([0xc0, i as u8]),
            (0, Some(i)) if i16::try_from(i).is_ok() => {
                self.file.push(0xc1);
                self.file.extend((i as i16).to_le_bytes());
            }
            (0 | 1, Some(i)) if i32::try_from(i).is_ok() => {
                self.file.push(0xc2);
                self.file.extend((i as i32).to_le_bytes());
            }
            (2, _) if !string.is_empty() => {
                let packed = lzf(string);
                self.file.push(0xc3);
                self.length(packed.len());
                self.length(string.len());
                self.file.extend(packed);
            }
            _ => {
                self.length(string.len());
                self.file.extend(string);
            }
        }
    }

    fn listpack(&mut self, items: &[Bytes]) {
        let mut body = Vec::new();
        for item in items {
            let mut entry = match (self.choose(3), canonical_integer(item)) {
                (0 | 1, Some(i)) => listpack_integer(i),
                _ => listpack_string(item, self.choose(2) == 0),
            };
            let length = entry.len();
            let groups = match length {
                0..=127 => 1,
                128..16_383 => 2,
                16_383..2_097_151 => 3,
                _ => 4,
            };
            for group in (0..groups).rev() {
                let high = if group + 1 == groups { 0 } else { 0x80 };
                entry.push((length >> (7 * group)) as u8 & 0x7f | high);
            }
            body.extend(entry);
        }
        let mut whole = ((body.len() + 7) as u32).to_le_bytes().to_vec();
        let count = if self.choose(3) == 0 { u16::MAX } else { items.len() as u16 };
        whole.extend(count.to_le_bytes());
        whole.extend(body);
        whole.push(0xff);
        self.string(&whole);
    }

    fn ziplist(&mut self, items: &[Bytes]) {
        let mut body = Vec::new();
        let mut previous = 0;
        for item in items {
            let mut entry = if previous < 254 {
                vec![previous as u8]
            } else {
                [&[254][..], &(previous as u32).to_le_bytes()].concat()
            };
            match (self.choose(3), canonical_integer(item)) {
                (0 | 1, Some(i)) => entry.extend(ziplist_integer(i)),
                _ => entry.extend(ziplist_string(item)),
            }
            previous = entry.len();
            body.extend(entry);
        }
        let mut whole = ((body.len() + 11) as u32).to_le_bytes().to_vec();
        whole.extend(((10 + body.len().saturating_sub(previous)) as u32).to_le_bytes());
        whole.extend((items.len() as u16).to_le_bytes());
        whole.extend(body);
        whole.push(0xff);
        self.string(&whole);
    }

    fn key(&mut self, key: &Key) {
        if self.choose(3) == 0 {
            self.file.extend([249, 17]); // LFU
        }
        match key.expiry {
            Some(at) if at % 1000 == 0 && self.choose(2) == 0 => {
                self.file.push(253);
                self.file.extend(((at / 1000) as u32).to_le_bytes());
            }
            Some(at) => {
                self.file.push(252);
                self.file.extend(at.to_le_bytes());
            }
            None => {}
        }
        match &key.data {
            Data::String(content) => {
                self.head(0, &key.name);
                self.string(content);
            }
            Data::List(items) => self.list(&key.name, items),
            Data::Set(members) => self.set(&key.name, members),
            Data::SortedSet(members) => self.sorted_set(&key.name, members),
            Data::Hash(fields) => self.hash(&key.name, fields),
        }
    }

    fn head(&mut self, code: u8, name: &[u8]) {
        self.file.push(code);
        self.string(name);
    }

    fn list(&mut self, name: &[u8], items: &[Bytes]) {
        match self.choose(4) {
            0 => {
                self.head(1, name);
                self.length(items.len());
                items.iter().for_each(|item| self.string(item));
            }
            1 => {
                self.head(10, name);
                self.ziplist(items);
            }
            code => {
                self.head(if code == 2 { 14 } else { 18 }, name);
                let nodes: Vec<&[Bytes]> = items.chunks(3).collect();
                self.length(nodes.len());
                for node in nodes {
                    match (code, node) {
                        (2, _) => self.ziplist(node),
                        (_, [single]) => {
                            self.length(1);
                            self.string(single);
                        }
                        _ => {
                            self.length(2);
                            self.listpack(node);
                        }
                    }
                }
            }
        }
    }

    fn set(&mut self, name: &[u8], members: &BTreeSet<Bytes>) {
        let mut members: Vec<Bytes> = members.iter().cloned().collect();
        if self.choose(2) == 0 {
            members.reverse();
        }
        let integers: Option<Vec<i64>> = members.iter().map(|m| canonical_integer(m)).collect();
        match (self.choose(3), integers) {
            (0, Some(integers)) => {
                self.head(11, name);
                let mut whole = 8u32.to_le_bytes().to_vec();
                whole.extend((integers.len() as u32).to_le_bytes());
                integers.iter().for_each(|i| whole.extend(i.to_le_bytes()));
                self.string(&whole);
            }
            (1, _) => {
                self.head(20, name);
                self.listpack(&members);
            }
            _ => {
                self.head(2, name);
                self.length(members.len());
                members.iter().for_each(|member| self.string(member));
            }
        }
    }

    fn sorted_set(&mut self, name: &[u8], members: &BTreeMap<Bytes, f64>) {
        let flat = || members.iter().flat_map(|(m, s)| [m.clone(), score_text(*s).into_bytes()]).collect::<Vec<_>>();
        match self.choose(4) {
            0 => {
                self.head(3, name);
                self.length(members.len());
                for (member, score) in members.iter().rev() {
                    self.string(member);
                    match *score {
                        f64::INFINITY => self.file.push(254),
                        f64::NEG_INFINITY => self.file.push(255),
                        score => {
                            let text = score_text(score);
                            self.file.push(text.len() as u8);
                            self.file.extend(text.bytes());
                        }
                    }
                }
            }
            1 => {
                self.head(5, name);
                self.length(members.len());
                for (member, score) in members {
                    self.string(member);
                    self.file.extend(score.to_le_bytes());
                }
            }
            2 => {
                self.head(12, name);
                self.ziplist(&flat());
            }
            _ => {
                self.head(17, name);
                self.listpack(&flat());
            }
        }
    }

    fn hash(&mut self, name: &[u8], fields: &BTreeMap<Bytes, (Bytes, u64)>) {
        let flat = || fields.iter().flat_map(|(f, (v, _))| [f.clone(), v.clone()]).collect::<Vec<_>>();
        if fields.values().any(|(_, expiry)| *expiry > 0) {
            return self.hash_with_expiries(name, fields);
        }
        match self.choose(4) {
            0 => {
                self.head(4, name);
                self.length(fields.len());
                for (field, (content, _)) in fields.iter().rev() {
                    self.string(field);
                    self.string(content);
                }
            }
            1 => {
                self.head(13, name);
                self.ziplist(&flat());
            }
            2 => {
                self.head(9, name);
                let whole = zipmap(fields);
                self.string(&whole);
            }
            _ => {
                self.head(16, name);
                self.listpack(&flat());
            }
        }
    }

    fn hash_with_expiries(&mut self, name: &[u8], fields: &BTreeMap<Bytes, (Bytes, u64)>) {
        let earliest = fields.values().map(|(_, expiry)| *expiry).filter(|e| *e > 0).min().unwrap_or(0);
        match self.choose(2) {
            0 => {
                self.head(24, name);
                self.file.extend(earliest.to_le_bytes());
                self.length(fields.len());
                for (field, (content, expiry)) in fields {
                    self.length(if *expiry == 0 { 0 } else { (expiry - earliest + 1) as usize });
                    self.string(field);
                    self.string(content);
                }
            }
            _ => {
                self.head(25, name);
                self.file.extend(earliest.to_le_bytes());
                let flat: Vec<Bytes> =
                    fields.iter().flat_map(|(f, (v, e))| [f.clone(), v.clone(), e.to_string().into_bytes()]).collect();
                self.listpack(&flat);
            }
        }
    }

    fn end(mut self) -> Bytes {
        self.file.push(255);
        let sum = crc::Crc::<u64>::new(&crc::CRC_64_REDIS).checksum(&self.file);
        self.file.extend(sum.to_le_bytes());
        self.file
    }
}

fn canonical_integer(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse::<i64>().ok().filter(|i| i.to_string() == text)
}

fn score_text(score: f64) -> String {
    match score {
        f64::INFINITY => "inf".into(),
        f64::NEG_INFINITY => "-inf".into(),
        _ => format!("{score:e}"),
    }
}

fn listpack_integer(i: i64) -> Bytes {
    match i {
        0..=127 => vec![i as u8],
        -4096..=4095 => vec![0xc0 | (i >> 8) as u8 & 0x1f, i as u8],
        -32_768..=32_767 => [&[0xf1][..], &(i as i16).to_le_bytes()].concat(),
        -8_388_608..=8_388_607 => [&[0xf2][..], &i.to_le_bytes()[..3]].concat(),
        -2_147_483_648..=2_147_483_647 => [&[0xf3][..], &(i as i32).to_le_bytes()].concat(),
        _ => [&[0xf4][..], &i.to_le_bytes()].concat(),
    }
}

fn listpack_string(item: &[u8], shortest: bool) -> Bytes {
    let head = match item.len() {
        n @ 0..64 if shortest => vec![0x80 | n as u8],
        n @ 0..4096 if shortest => vec![0xe0 | (n >> 8) as u8, n as u8],
        n => [&[0xf0][..], &(n as u32).to_le_bytes()].concat(),
    };
    [&head[..], item].concat()
}

fn ziplist_integer(i: i64) -> Bytes {
    match i {
        0..=12 => vec![0xf1 + i as u8],
        -128..=127 => vec![0xfe, i as u8],
        -32_768..=32_767 => [&[0xc0][..], &(i as i16).to_le_bytes()].concat(),
        -8_388_608..=8_388_607 => [&[0xf0][..], &i.to_le_bytes()[..3]].concat(),
        -2_147_483_648..=2_147_483_647 => [&[0xd0][..], &(i as i32).to_le_bytes()].concat(),
        _ => [&[0xe0][..], &i.to_le_bytes()].concat(),
    }
}

fn ziplist_string(item: &[u8]) -> Bytes {
    let head = match item.len() {
        n @ 0..64 => vec![n as u8],
        n @ 64..16_384 => vec![0x40 | (n >> 8) as u8, n as u8],
        n => [&[0x80][..], &(n as u32).to_be_bytes()].concat(),
    };
    [&head[..], item].concat()
}

fn zipmap(fields: &BTreeMap<Bytes, (Bytes, u64)>) -> Bytes {
    let length = |n: usize| if n < 254 { vec![n as u8] } else { [&[254][..], &(n as u32).to_le_bytes()].concat() };
    let mut whole = vec![fields.len().min(254) as u8];
    for (field, (content, _)) in fields {
        whole.extend(length(field.len()));
        whole.extend(field);
        whole.extend(length(content.len()));
        whole.push(2); // two unused bytes behind the value
        whole.extend(content);
        whole.extend(*b"??");
    }
    whole.push(255);
    whole
}

/// LZF with the simplest of searches: the furthest look back that repeats.
fn lzf(plain: &[u8]) -> Bytes {
    let mut packed = Vec::new();
    let mut literal: Bytes = Vec::new();
    let flush = |literal: &mut Bytes, packed: &mut Bytes| {
        for run in literal.chunks(32) {
            packed.push(run.len() as u8 - 1);
            packed.extend(run);
        }
        literal.clear();
    };
    let mut at = 0;
    while at < plain.len() {
        let found = (1..at.min(8192) + 1).step_by(if at < 64 { 1 } else { 61 }).rev().find_map(|back| {
            let same = (at..plain.len().min(at + 264)).take_while(|i| plain[*i] == plain[i - back]).count();
            (same >= 3).then_some((back - 1, same))
        });
        if let Some((back, same)) = found {
            flush(&mut literal, &mut packed);
            if same < 9 {
                packed.push(((same - 2) << 5 | back >> 8) as u8);
            } else {
                packed.extend([(7 << 5 | back >> 8) as u8, (same - 9) as u8]);
            }
            packed.push(back as u8);
            at += same;
        } else {
            literal.push(plain[at]);
            at += 1;
        }
    }
    flush(&mut literal, &mut packed);
    packed
}

fn text() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..20),
        2 => any::<i64>().prop_map(|i| i.to_string().into_bytes()),
        2 => (-5000i64..5000).prop_map(|i| i.to_string().into_bytes()),
        1 => (-9_000_000i64..9_000_000).prop_map(|i| i.to_string().into_bytes()),
        1 => ("[ab]{1,3}", 1usize..2000).prop_map(|(s, n)| s.repeat(n).into_bytes()),
    ]
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        (-1000i32..1000).prop_map(f64::from),
        any::<f64>().prop_filter("a score", |s| s.is_finite()),
    ]
}

fn data() -> impl Strategy<Value = Data> {
    let expiry = prop_oneof![3 => Just(0u64), 1 => 1_700_000_000_000u64..1_700_000_100_000];
    prop_oneof![
        text().prop_map(Data::String),
        proptest::collection::vec(text(), 1..20).prop_map(Data::List),
        proptest::collection::btree_set(text(), 1..20).prop_map(Data::Set),
        proptest::collection::btree_set((-300i64..300).prop_map(|i| i.to_string().into_bytes()), 1..20)
            .prop_map(Data::Set),
        proptest::collection::btree_map(text(), score(), 1..20).prop_map(Data::SortedSet),
        proptest::collection::btree_map(text(), (text(), Just(0)), 1..20).prop_map(Data::Hash),
        proptest::collection::btree_map(text(), (text(), expiry), 1..20).prop_map(Data::Hash),
    ]
}

fn keys() -> impl Strategy<Value = Vec<Key>> {
    let expiry = prop_oneof![2 => Just(None), 1 => (1_700_000_000_000u64..1_700_000_100_000).prop_map(Some)];
    proptest::collection::btree_map(text(), (expiry, data()), 0..8)
        .prop_map(|keys| keys.into_iter().map(|(name, (expiry, data))| Key { name, expiry, data }).collect())
}

fn build(keys: &[Key], choices: &[u8]) -> Bytes {
    let mut builder = Builder::new("REDIS0012", choices);
    builder.file.push(250);
    builder.string(b"redis-ver");
    builder.string(b"7.4.0");
    for (i, key) in keys.iter().enumerate() {
        if i % 3 == 0 {
            builder.file.push(254);
            builder.length(i / 3);
        }
        builder.key(key);
    }
    builder.end()
}

fn read_all(file: &[u8]) -> Contents {
    read(file, &Settings::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_digest_does_not_depend_on_the_encoding(keys in keys(), one in proptest::collection::vec(any::<u8>(), 1..40),
                                                  other in proptest::collection::vec(any::<u8>(), 1..40)) {
        let (one, other) = (read_all(&build(&keys, &one)), read_all(&build(&keys, &other)));
        prop_assert_eq!(&one.databases, &other.databases);
        prop_assert_eq!(one.keys(), keys.len() as u64);
        prop_assert_eq!(one.checksum, Checksum::Verified);
        prop_assert_eq!(one.aux["redis-ver"].as_str(), "7.4.0");
    }

    #[test]
    fn other_content_has_another_digest(keys in keys(), change in data(), choices in proptest::collection::vec(any::<u8>(), 1..40)) {
        prop_assume!(!keys.is_empty() && keys[0].data != change);
        let mut changed = keys.clone();
        changed[0].data = change;
        prop_assert_ne!(read_all(&build(&keys, &choices)).digest(), read_all(&build(&changed, &choices)).digest());
        changed[0] = keys[0].clone();
        changed[0].expiry = Some(keys[0].expiry.unwrap_or(5) + 1);
        prop_assert_ne!(read_all(&build(&keys, &choices)).digest(), read_all(&build(&changed, &choices)).digest());
    }

    #[test]
    fn what_has_passed_is_left_out_exactly(keys in keys(), at in 1_700_000_000_000u64..1_700_000_100_000,
                                           choices in proptest::collection::vec(any::<u8>(), 1..40)) {
        let left: Vec<Key> = keys.iter().filter_map(|key| {
            let mut key = key.clone();
            if let Data::Hash(fields) = &mut key.data {
                fields.retain(|_, (_, expiry)| *expiry == 0 || *expiry > at);
                if fields.is_empty() { return None; }
            }
            key.expiry.is_none_or(|e| e > at).then_some(key)
        }).collect();
        // One database, so that what is left lies where it lay.
        let whole = |keys: &[Key]| {
            let mut builder = Builder::new("REDIS0012", &choices);
            keys.iter().for_each(|key| builder.key(key));
            builder.end()
        };
        let settings = Settings { passed_at_ms: Some(at), ..Settings::default() };
        let cut = read(&whole(&keys)[..], &settings).unwrap();
        let expected = read(&whole(&left)[..], &settings).unwrap();
        prop_assert_eq!(cut.digest(), expected.digest());
        prop_assert_eq!(cut.keys() + cut.passed_keys, keys.len() as u64);
        prop_assert_eq!(cut.keys(), left.len() as u64);
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic(keys in keys(), choices in proptest::collection::vec(any::<u8>(), 1..40),
                                            at in any::<prop::sample::Index>(), to: u8) {
        let whole = build(&keys, &choices);
        let mut damaged = whole.clone();
        let at = at.index(damaged.len() - 8);
        damaged[at] = to;
        if damaged != whole {
            prop_assert!(read(&damaged[..], &Settings::default()).is_err());
        }
        // Without a checksum the structure alone has to hold: an error or another digest, whatever comes.
        let sum = damaged.len() - 8;
        damaged[sum..].fill(0);
        if let Ok(contents) = read(&damaged[..], &Settings::default()) {
            prop_assert_eq!(contents.checksum, Checksum::Disabled);
        }
        prop_assert!(read(&whole[..at], &Settings::default()).is_err());
    }
}

#[test]
fn what_is_not_known_is_said() {
    let error = |file: &[u8]| read(file, &Settings::default()).unwrap_err().to_string();
    assert_eq!(
        error(b"REDIS0014\xff"),
        "RDB version 14 is newer than what this program reads (Redis up to 13, Valkey 80)"
    );
    assert_eq!(error(b"PGDMP\x01\x0e\x00\x04"), "this is no RDB file: it begins with \"PGDMP\\u{1}\\u{e}\\0\\u{4}\"");
    assert_eq!(error(b"REDIS0013\x1b\x01k\x00"), "the RDB holds something of the unknown type 27 before byte 10");
    assert_eq!(error(b"REDIS0010\x00\x01k"), "the RDB ends at byte 12, before its end mark");
}

#[test]
fn bytes_behind_the_end_are_refused() {
    let mut file = build(&[], &[]);
    file.push(b'\n');
    assert!(matches!(read(&file[..], &Settings::default()), Err(RdbError::Malformed { .. })));
}

#[test]
fn a_module_is_counted_and_passed_over() {
    let mut builder = Builder::new("REDIS0010", &[]);
    builder.file.extend([7, 3]);
    builder.file.extend(*b"doc");
    builder.file.push(0x81);
    builder.file.extend(0x45e2_5238_df91_2c03_u64.to_be_bytes());
    builder.file.extend([5, 2, b'{', b'}', 2, 9, 0]);
    let contents = read_all(&builder.end());
    assert_eq!(contents.modules, BTreeMap::from([("ReJSON-RL".to_owned(), 1)]));
    assert_eq!(contents.databases[&0].types, BTreeMap::from([(KeyType::Module, 1)]));
}

#[test]
fn valkeys_hash_with_expiring_fields_equals_that_of_redis() {
    let at = 1_700_000_000_000u64;
    let fields = BTreeMap::from([(b"a".to_vec(), (b"1".to_vec(), at)), (b"b".to_vec(), (b"2".to_vec(), 0))]);
    let redis = build(&[Key { name: b"h".to_vec(), expiry: None, data: Data::Hash(fields) }], &[]);
    let mut valkey = Builder::new("VALKEY080", &[]);
    valkey.file.extend(*b"\x16\x01h\x02\x01a\x011");
    valkey.file.extend(at.to_le_bytes());
    valkey.file.extend(*b"\x01b\x012");
    valkey.file.extend((-1i64).to_le_bytes());
    let (redis, valkey) = (read_all(&redis), read_all(&valkey.end()));
    assert_eq!(redis.databases, valkey.databases);
    assert_eq!(valkey.databases[&0].expiring_fields, 1);
}

#[test]
fn which_server_loads_which_file() {
    let redis = |number| Version { flavor: Flavor::Redis, number };
    let valkey = Version { flavor: Flavor::Valkey, number: 80 };
    assert!(redis(10).loads(redis(9)) && !redis(9).loads(redis(10)));
    assert!(valkey.loads(redis(11)) && !valkey.loads(redis(12)) && !redis(13).loads(valkey));
}

/// Files that real servers wrote, streams, functions and modules among them, with every byte changed in turn and the
/// checksum switched off: an error or other content, never a panic, never an endless loop.
#[test]
fn no_byte_of_a_real_file_makes_it_panic() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/redis");
    let mut noticed = (0u32, 0u32);
    for name in [
        "others/redis_8_6_all_types.rdb",
        "others/redis_stack_7_4_modules.rdb",
        "others/zipmap_that_doesnt_compress.rdb",
        "others/quicklist_with_multiple_nodes.rdb",
        "redis-7.0.rdb",
    ] {
        let mut file = std::fs::read(folder.join(name)).unwrap();
        let whole = read_all(&file);
        let sum = file.len() - 8;
        if whole.version.number >= 5 {
            file[sum..].fill(0);
        }
        // The large one is mostly values; a prime step meets every kind of structure in it.
        let step = if file.len() > 10_000 { 1511 } else { 1 };
        for at in (0..file.len()).step_by(step) {
            let kept = file[at];
            for to in [0, 0xff, kept ^ 1, kept ^ 0x80] {
                file[at] = to;
                noticed.1 += 1;
                match read(&file[..], &Settings::default()) {
                    Ok(contents) => noticed.0 += u32::from(contents.databases != whole.databases),
                    Err(_) => noticed.0 += 1,
                }
            }
            file[at] = kept;
        }
    }
    // What is left: ages and LFU counts, aux fields, what modules keep, and values that were the same before.
    assert!(noticed.0 * 4 > noticed.1 * 3, "{noticed:?}");
}
