# SPDX-License-Identifier: Apache-2.0
# python3: mmap, sqlite3, json over real data, files, pickling, compression, imports of the whole library.
cat >d.py <<'END'
import glob, gzip, hashlib, json, mmap, os, pickle, shutil, sqlite3, tempfile, zlib
data = {p: {"size": os.path.getsize(p), "sha": hashlib.sha256(open(p, "rb").read()).hexdigest()} for p in sorted(glob.glob("/usr/include/**/*.h", recursive=True))}
text = json.dumps(data, indent=1, sort_keys=True); print(len(data), hashlib.sha256(text.encode()).hexdigest()); assert json.loads(text) == data
db = sqlite3.connect("t.db"); db.execute("pragma journal_mode=wal"); db.execute("create table files (path text primary key, size int, sha text)")
with db: db.executemany("insert into files values (?, ?, ?)", [(p, v["size"], v["sha"]) for p, v in data.items()])
print(db.execute("select count(*), sum(size), max(size) from files").fetchone()); print(db.execute("select path from files order by size desc limit 3").fetchall())
other = sqlite3.connect("t.db", timeout=0.1); db.execute("begin immediate")
try: other.execute("begin immediate")
except sqlite3.OperationalError as e: print(e)
db.rollback(); print(db.execute("pragma integrity_check").fetchone()); db.close(); other.close()
with open("m", "w+b") as f:
    f.truncate(1 << 20); m = mmap.mmap(f.fileno(), 0); m[1000:1005] = b"hello"; m.flush(); f.seek(1000); print(f.read(5), m.find(b"hello")); m.resize(1 << 21); print(len(m)); m.close()
anon = mmap.mmap(-1, 4096)
if os.fork() == 0: anon[0:5] = b"child"; os._exit(0)
os.wait(); print(anon[0:5])
blob = pickle.dumps(data); print(pickle.loads(blob) == data, len(zlib.compress(blob, 6)) < len(blob), gzip.decompress(gzip.compress(blob)) == blob)
d = tempfile.mkdtemp(); shutil.copytree("/usr/share/python3", d + "/x"); print(sorted(os.listdir(d + "/x"))[:3]); shutil.rmtree(d); print(os.path.exists(d))
print(sorted(os.scandir("/etc"), key=lambda e: e.name)[0].name, os.stat("/etc/passwd").st_mode)
END
python3 d.py
sqlite3 s.db 'create table t(a,b); with recursive n(i) as (select 1 union all select i+1 from n where i<100000) insert into t select i, i*i from n; create index x on t(b); select count(*), sum(a), max(b) from t; pragma integrity_check;'
cd /; python3 -c 'import sys, pkgutil, importlib
names = sorted(m.name for m in pkgutil.iter_modules() if not m.name.startswith("_") and m.name not in ("antigravity", "this", "idlelib", "turtle", "turtledemo", "tkinter", "lib2to3"))
ok = 0
for n in names:
    try: importlib.import_module(n); ok += 1
    except ImportError: print("no", n)
print("imported", ok)'
