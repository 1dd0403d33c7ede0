use proptest::prelude::*;

use super::*;

fn file(name: &[u8]) -> Node {
    Node {
        name: name.to_vec(),
        kind: NodeKind::File { content: vec![BlobId([0xab; 32])], bytes: 7 },
        mode: 0o4644,
        mtime_ns: 1_700_000_000_120_000_000,
        atime_ns: 0,
        ctime_ns: 1,
        uid: 0,
        gid: 1000,
        user: "root".into(),
        group: String::new(),
        inode: 42,
        device_id: 65_024,
        links: 1,
        extended_attributes: vec![("user.<a>".into(), b"\x00\xff".to_vec())],
    }
}

fn one(kind: NodeKind) -> Node {
    Node { kind, extended_attributes: vec![], mode: 0o1755, ..file(b"n") }
}

const TIMES: &str = r#""mtime":"2023-11-14T22:13:20.12Z","atime":"1970-01-01T00:00:00Z","ctime":"1970-01-01T00:00:00.000000001Z","uid":0,"gid":1000,"user":"root","inode":42,"device_id":65024"#;

/// The expected text is what restic 0.18's `Node` becomes in Go 1.26's `json.Marshal`.
#[test]
fn every_kind_is_written_as_restic_writes_it() {
    let ab = "ab".repeat(32);
    for (kind, mode, expected) in [
        (
            NodeKind::Dir { subtree: TreeId([0xab; 32]) },
            2_148_532_717u32,
            format!(r#""type":"dir"|,"links":1,"content":null,"subtree":"{ab}""#),
        ),
        (
            NodeKind::Symlink { target: b"../a&b".to_vec() },
            135_266_797,
            r#""type":"symlink"|,"links":1,"linktarget":"../a\u0026b","content":null"#.into(),
        ),
        (
            NodeKind::Symlink { target: b"\xff/x".to_vec() },
            135_266_797,
            r#""type":"symlink"|,"links":1,"linktarget":"\ufffd/x","linktarget_raw":"/y94","content":null"#.into(),
        ),
        (NodeKind::Fifo, 34_603_501, r#""type":"fifo"|,"links":1,"content":null"#.into()),
        (NodeKind::Socket, 17_826_285, r#""type":"socket"|,"links":1,"content":null"#.into()),
        (
            NodeKind::CharDevice { device: 259 },
            70_255_085,
            r#""type":"chardev"|,"links":1,"device":259,"content":null"#.into(),
        ),
        (
            NodeKind::BlockDevice { device: 2049 },
            68_157_933,
            r#""type":"dev"|,"links":1,"device":2049,"content":null"#.into(),
        ),
        (NodeKind::File { content: vec![], bytes: 0 }, 1_049_069, r#""type":"file"|,"links":1,"content":[]"#.into()),
    ] {
        let tree = Tree { nodes: vec![one(kind)] };
        let (head, tail) = expected.split_once('|').unwrap();
        let expected = format!("{{\"nodes\":[{{\"name\":\"n\",{head},\"mode\":{mode},{TIMES}{tail}}}]}}\n");
        let json = tree.to_json().unwrap();
        assert_eq!(String::from_utf8(json.clone()).unwrap(), expected);
        assert_eq!(Tree::from_json(&json).unwrap(), tree);
    }
    let json = Tree { nodes: vec![file(b"caf\xe9 \"\n")] }.to_json().unwrap();
    assert_eq!(
        String::from_utf8(json).unwrap(),
        format!(
            "{{\"nodes\":[{{\"name\":\"caf\\\\xe9 \\\\\\\"\\\\n\",\"type\":\"file\",\"mode\":8389028,{TIMES},\"size\":7,\"links\":1,\
             \"extended_attributes\":[{{\"name\":\"user.\\u003ca\\u003e\",\"value\":\"AP8=\"}}],\"content\":[\"{ab}\"]}}]}}\n"
        )
    );
    assert_eq!(Tree::default().to_json().unwrap(), b"{\"nodes\":[]}\n");
    assert_eq!(Tree::from_json(b"{\"nodes\":null}\n").unwrap(), Tree::default());
}

/// Every released version reads and writes this one; its id is what makes an unchanged folder known.
#[test]
fn the_committed_tree_is_read_and_written_for_ever() {
    let json = include_bytes!("../../../tests/fixtures/formats/tree-1.json");
    let tree = Tree::from_json(json).unwrap();
    assert_eq!(tree.nodes.iter().map(|node| node.mode).collect::<Vec<_>>()[..3], [0o1755, 0o4644, 0o1755]);
    assert_eq!(tree.get(b"caf\xe9 \"\n").unwrap().extended_attributes, [("user.<a>".into(), b"\x00\xff".to_vec())]);
    assert_eq!(tree.get(b"raw link").unwrap().kind, NodeKind::Symlink { target: b"\xff/x".to_vec() });
    let written = tree.to_json().unwrap();
    assert_eq!(written, json);
    let id = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(written));
    assert_eq!(id, "8775edde37a5d29373db4db0c76053641fdd969c05d7709d4960fdba2434b04d");
}

#[test]
fn what_newer_programs_add_is_passed_over() {
    let json = r#"{"version":3,"nodes":[{"name":"n","type":"fifo","mode":420,"uid":1,"gid":2,"generic_attributes":{"windows.file_attributes":32},
        "mtime":"2023-11-14T23:13:20.12+01:00","atime":"1970-01-01T00:00:00Z","ctime":"1970-01-01T00:00:00Z","content":null,"later":[{}]}],"more":{}}"#;
    let node = Tree::from_json(json.as_bytes()).unwrap().nodes.remove(0);
    assert_eq!((node.kind, node.mode, node.mtime_ns), (NodeKind::Fifo, 0o644, 1_700_000_000_120_000_000));
}

#[test]
fn a_tree_that_could_lead_out_of_its_folder_is_neither_written_nor_read() {
    for name in [&b""[..], b".", b"..", b"/", b"../x", b"a/b", b"/etc/passwd", b"a\0b"] {
        let error = Tree { nodes: vec![file(name)] }.to_json().unwrap_err().to_string();
        assert!(error.ends_with("can be no entry of a folder"), "{error}");
        let quoted = name.iter().map(|b| format!("\\\\x{b:02x}")).collect::<String>();
        let json = format!(r#"{{"nodes":[{{"name":"{quoted}","type":"fifo"}}]}}"#);
        let error = Tree::from_json(json.as_bytes()).unwrap_err();
        assert!(matches!(error, TreeError::Name(_)), "{error}");
    }
}

#[test]
fn entries_out_of_order_or_twice_are_neither_written_nor_read() {
    for names in [["b", "a"], ["a", "a"], ["ab", "a"]] {
        let error = Tree { nodes: names.map(|n| file(n.as_bytes())).to_vec() }.to_json().unwrap_err();
        assert!(matches!(error, TreeError::Order { .. }), "{error}");
        let nodes = names.map(|n| format!(r#"{{"name":"{n}","type":"fifo"}}"#)).join(",");
        let error = Tree::from_json(format!(r#"{{"nodes":[{nodes}]}}"#).as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "`{}` does not come after `{}`: entries must be sorted by name, each name once",
                names[1], names[0]
            )
        );
    }
}

#[test]
fn a_damaged_tree_says_what_is_wrong() {
    for (json, expected) in [
        ("", "its JSON cannot be read: EOF while parsing a value at line 1 column 0"),
        ("{}", "its JSON cannot be read: missing field `nodes` at line 1 column 2"),
        (r#"{"nodes":[]}x"#, "its JSON cannot be read: trailing characters at line 1 column 13"),
        (r#"{"nodes":[],"nodes":[]}"#, "its JSON cannot be read: duplicate field `nodes` at line 1 column 19"),
        (r#"{"nodes":[{"name":"d","type":"dir"}]}"#, "the entry `d` is a folder and names no tree"),
        (
            r#"{"nodes":[{"name":"f","type":"file","size":3,"content":null}]}"#,
            "the entry `f` has 3 bytes and no content",
        ),
        (
            r#"{"nodes":[{"name":"i","type":"irregular"}]}"#,
            "the entry `i` is of the kind `irregular`, which cannot be restored",
        ),
        (r#"{"nodes":[{"name":"t","type":"fifo","mtime":"soon"}]}"#, "the entry `t` has the time `soon`"),
        (r#"{"nodes":[{"name":"q\\","type":"fifo"}]}"#, r"the entry `q\` has a name that is not quoted right"),
        (
            r#"{"nodes":[{"name":"l","type":"symlink","linktarget_raw":"?"}]}"#,
            "the entry `l` has a link target that is not base64",
        ),
    ] {
        assert_eq!(Tree::from_json(json.as_bytes()).unwrap_err().to_string(), expected, "{json}");
    }
}

#[test]
fn an_error_of_the_taker_comes_through() {
    let json = Tree { nodes: vec![file(b"a"), file(b"b"), file(b"c")] }.to_json().unwrap();
    let mut seen = Vec::new();
    let result = Tree::each(&json, |node| {
        seen.push(node.name);
        if seen.len() == 2 { Err(TreeError::Json("enough".into())) } else { Ok(()) }
    });
    assert_eq!(result.unwrap_err().to_string(), "its JSON cannot be read: enough");
    assert_eq!(seen, [b"a", b"b"]);
}

fn any_kind() -> impl Strategy<Value = NodeKind> {
    let id = any::<[u8; 32]>();
    prop_oneof![
        (prop::collection::vec(id, 0..4), 1u64..u64::MAX).prop_map(|(ids, bytes)| NodeKind::File {
            bytes: if ids.is_empty() { 0 } else { bytes },
            content: ids.into_iter().map(BlobId).collect(),
        }),
        id.prop_map(|id| NodeKind::Dir { subtree: TreeId(id) }),
        prop::collection::vec(1u8.., 0..20).prop_map(|target| NodeKind::Symlink { target }),
        Just(NodeKind::Fifo),
        Just(NodeKind::Socket),
        any::<u64>().prop_map(|device| NodeKind::CharDevice { device }),
        any::<u64>().prop_map(|device| NodeKind::BlockDevice { device }),
    ]
}

fn any_node() -> impl Strategy<Value = Node> {
    let time = || -60_000_000_000_000_000_000i128..250_000_000_000_000_000_000;
    let numbers = (any::<(u32, u32, u64, u64, u64)>(), 0u32..0o10000, any::<(String, String)>());
    let attributes = prop::collection::vec((any::<String>(), prop::collection::vec(any::<u8>(), 0..9)), 0..3);
    (any_kind(), [time(), time(), time()], numbers, attributes).prop_map(
        |(kind, times, numbers, extended_attributes)| {
            let ((uid, gid, inode, device_id, links), mode, (user, group)) = numbers;
            let [mtime_ns, atime_ns, ctime_ns] = times;
            let name = Vec::new();
            Node {
                name,
                kind,
                mode,
                mtime_ns,
                atime_ns,
                ctime_ns,
                uid,
                gid,
                user,
                group,
                inode,
                device_id,
                links,
                extended_attributes,
            }
        },
    )
}

proptest! {
    #[test]
    fn any_tree_survives_the_round_trip(
        nodes in prop::collection::btree_map(prop::collection::vec(any::<u8>(), 1..12), any_node(), 0..6)
    ) {
        let fits = |name: &Vec<u8>| name != b"." && name != b".." && !name.iter().any(|b| matches!(b, 0 | b'/'));
        let nodes = nodes.into_iter().filter(|(name, _)| fits(name)).map(|(name, node)| Node { name, ..node }).collect();
        let tree = Tree { nodes };
        let json = tree.to_json().unwrap();
        prop_assert!(json.len() <= json_write::estimate(&tree.nodes) + 6 * 24, "the estimate holds but for escapes");
        prop_assert_eq!(Tree::from_json(&json).unwrap(), tree);
    }

    #[test]
    fn bytes_that_are_no_tree_never_panic(json in prop::collection::vec(any::<u8>(), 0..60)) {
        let text = [br#"{"nodes":["#, &json[..]].concat();
        Tree::from_json(&text).ok();
    }
}
