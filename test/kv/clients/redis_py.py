# SPDX-License-Identifier: BSL-1.0
"""What redis-py does with its default options. usage: redis_py.py PORT"""
import sys
import time

import redis

r = redis.Redis(port=int(sys.argv[1]))
assert r.ping() is True
assert r.set("greeting", "hello") is True
assert r.get("greeting") == b"hello"
assert r.get("nix") is None
assert r.mget("greeting", "nix") == [b"hello", None]
assert r.incrbyfloat("f", 1.5) == 1.5
assert r.config_get("port") == {"port": sys.argv[1]}
assert r.info("server")["redis_version"].startswith("7.")
assert r.client_info()["lib-name"].startswith("redis-py"), r.client_info()
assert any(c["cmd"] == "client|list" for c in r.client_list())
assert sorted(r.scan_iter("gree*")) == [b"greeting"]

pipe = r.pipeline()  # MULTI … EXEC
assert pipe.set("a", 1).incr("a").get("a").get("nix").execute() == [True, 2, b"2", None]
try:
    r.pipeline().set("s", "x").incr("s").get("s").execute()
    raise AssertionError("no error")
except redis.ResponseError as e:
    assert "not an integer" in str(e), e
assert r.get("s") == b"x"
assert r.pipeline(transaction=False).set("b", 1).incr("b").execute() == [True, 2]

with r.pipeline() as p:
    p.watch("a")
    assert p.get("a") == b"2"
    r.set("a", 10)
    p.multi()
    p.incr("a")
    try:
        p.execute()
        raise AssertionError("not aborted")
    except redis.WatchError:
        pass
assert r.transaction(lambda p: p.multi() or p.incr("a"), "a") == [11]
assert r.get("a") == b"11"

sub = r.pubsub()
sub.subscribe("news")
sub.psubscribe("n*")
got = [sub.get_message(timeout=10) for _ in range(2)]
assert [m["type"] for m in got] == ["subscribe", "psubscribe"], got
assert r.publish("news", "text") == 2
got = [sub.get_message(timeout=10) for _ in range(2)]
assert [(m["type"], m["channel"], m["data"]) for m in got] == [
    ("message", b"news", b"text"), ("pmessage", b"news", b"text")], got
sub.unsubscribe()
sub.punsubscribe()
assert {sub.get_message(timeout=10)["type"] for _ in range(2)} == {"unsubscribe", "punsubscribe"}
sub.close()

big = bytes(range(256)) * (40 << 12)
assert r.set("big", big) is True
assert r.get("big") == big
assert r.pipeline().set("big2", big).get("big2").execute() == [True, big]

assert r.set("k", "v", px=50) is True
assert 0 <= r.pttl("k") <= 50 or r.pttl("k") == -2
time.sleep(0.1)
assert r.get("k") is None
r.set("k", "v", ex=100)
assert r.ttl("k") in range(1, 101) and r.persist("k") is True and r.ttl("k") == -1
assert r.lock("lock", timeout=100).acquire(blocking=False) is True
assert r.flushall() is True
print("redis-py", redis.__version__)
