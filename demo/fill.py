"""Writes what the demo's stack holds: a support desk's rows, its uploads (ActiveStorage's layout), its queue."""

import base64
import hashlib
import random
import sys
from pathlib import Path

uploads, sql_file, redis_file = (Path(a) for a in sys.argv[1:])
rng = random.Random(7)

sql = [
    """create table accounts (id bigserial primary key, name text not null, created_at timestamp not null);
create table messages (id bigserial primary key, account_id bigint references accounts, content text, created_at timestamp);
create index on messages (account_id, created_at);
create table active_storage_blobs (id bigserial primary key, key text not null unique, filename text not null,
  content_type text, metadata text, service_name text not null, byte_size bigint not null, checksum text,
  created_at timestamp not null);
create table active_storage_attachments (id bigserial primary key, name text not null, record_type text not null,
  record_id bigint not null, blob_id bigint not null references active_storage_blobs, created_at timestamp not null);
create table active_storage_variant_records (id bigserial primary key,
  blob_id bigint not null references active_storage_blobs, variation_digest text not null);
insert into accounts (name, created_at) select 'Account ' || n, timestamp '2026-01-01' + n * interval '1 day'
  from generate_series(1, 50) n;
insert into messages (account_id, content, created_at)
  select 1 + n % 50, 'Hello, this is message ' || n || E'\\n' || md5(n::text), timestamp '2026-02-01' + n * interval '1 minute'
  from generate_series(1, 100000) n;"""
]
for number in range(1, 201):
    key = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=28))
    content = rng.randbytes(rng.randint(1_000, 100_000))
    path = uploads / key[:2] / key[2:4] / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    checksum = base64.b64encode(hashlib.md5(content).digest()).decode()
    sql.append(
        f"insert into active_storage_blobs values ({number}, '{key}', 'file-{number}.bin', 'application/octet-stream', "
        f"'{{}}', 'local', {len(content)}, '{checksum}', now());"
        f"insert into active_storage_attachments values ({number}, 'file', 'Message', {number}, {number}, now());"
    )
sql_file.write_text("\n".join(sql))


def resp(*words: str) -> str:
    return f"*{len(words)}\r\n" + "".join(f"${len(w.encode())}\r\n{w}\r\n" for w in words)


commands = [resp("SET", "queue:length", "2000")]
commands += [resp("RPUSH", "queue:default", f'{{"class":"SendReplyJob","args":[{n}]}}') for n in range(2000)]
commands += [resp("HSET", f"session:{n}", "user", str(n), "agent", "firefox") for n in range(500)]
commands += [resp("ZADD", "schedule", str(1_790_000_000 + n), f"job-{n}") for n in range(300)]
redis_file.write_bytes("".join(commands).encode())
