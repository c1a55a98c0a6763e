"""`httpproxy demo`, from its start to Ctrl-C, and once more."""

from __future__ import annotations

import re
import shlex
import socket

import psutil
from pasting import curl
from programs import Programs, Running, listening, still_there

from providers.catalog import PROVIDERS

PORTS = ("--gateway-port", "0", "--sandbox-port", "0")


def _ready(demo: Running) -> str:
    demo.wait_for(r"Ctrl-C ends it")
    return demo.text


def _rows(programs: Programs) -> list[dict[str, object]]:
    tables = programs.done(
        "--data-dir", ".httpproxy/demo", "sync", "show", "demo-airtable", "--json"
    ).json
    query = f"select id, name from {tables['schema']}.tasks"
    return programs.done("--data-dir", ".httpproxy/demo", "db", "query", query, "--json").json


def test_the_demo_writes_shows_the_row_invites_and_ends_cleanly(programs: Programs):
    with programs.started("demo", *PORTS) as demo:
        told = _ready(demo)
        assert "HTTP/1.1 200 OK" in told
        assert re.search(r"Httpproxy-Commit: applied; rows=1; request-id=\S+", told)
        record = re.search(r"WHERE id = '(rec\w+)'", told)
        assert record is not None
        assert re.search(rf"^ +id +{record[1]}$", told, re.MULTILINE)
        for provider in PROVIDERS.values():
            root = rf"{provider.title} +http://127\.0\.0\.1:\d+/\S+/{provider.hosts[0]}\n"
            assert re.search(root, told)
        assert " INFO " not in told, "nothing stands between what it shows"
        assert listening(demo.process.pid) == {"127.0.0.1"}
        left = [psutil.Process(demo.process.pid), *demo.children()]
        assert len(left) > 1
        assert demo.stop() == 0
        assert not still_there(left)


def test_what_it_says_to_paste_works(programs: Programs):
    with programs.started("demo", *PORTS) as demo:
        told = _ready(demo).partition("Now you.")[2].replace("\\\n", " ")
        creates = re.findall(r"^curl .*", told, re.MULTILINE)
        selects = re.findall(r"^.* db query .*", told, re.MULTILINE)
        assert len(creates) == len(selects) == len(PROVIDERS)
        for create, select in zip(creates, selects, strict=True):
            answer = curl(create)
            assert answer.headers["Httpproxy-Commit"].startswith("applied; rows=1"), answer.text
            asked = shlex.split(select)
            rows = programs.done(*asked[asked.index("--data-dir") :]).out
            assert answer.json()["id"] in rows
        assert demo.stop() == 0


def test_a_second_run_keeps_the_data_and_the_addresses(programs: Programs):
    with programs.started("demo", *PORTS) as demo:
        first = _ready(demo)
        assert demo.stop() == 0
    with programs.started("demo", *PORTS) as demo:
        second = _ready(demo)
        rows = _rows(programs)
        assert demo.stop() == 0
    written = {row["id"] for row in rows if row["name"] == "Water the plants"}
    assert len(written) == 2
    assert len(rows) > 2, "the sync has filled in what was there before"
    root = re.compile(r"127\.0\.0\.1:\d+/(\S+)/api\.airtable\.com")
    first_root, second_root = root.search(first), root.search(second)
    assert first_root is not None
    assert second_root is not None
    assert first_root[1] == second_root[1]


def test_a_busy_port_is_named_with_the_way_out_and_nothing_stays(programs: Programs):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        ended = programs.run("demo", "--sandbox-port", "0", "--gateway-port", port)
    assert ended.code == 1
    assert f"port {port} on 127.0.0.1 is taken" in ended.err
    assert "HTTPPROXY_GATEWAY_PORT" in ended.err
    assert programs.run("--data-dir", ".httpproxy/demo", "db", "url").code == 1


def test_once_ends_by_itself(programs: Programs):
    told = programs.done("demo", "--once", *PORTS).out
    assert "Httpproxy-Commit: applied" in told
    assert "Ctrl-C" not in told, "what has ended invites nobody"
