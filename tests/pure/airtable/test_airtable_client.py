"""pyairtable against the simulator: the real client finds nothing missing.

The simulator is served by a few lines of http.server; the product's own server is
tested elsewhere.
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from pyairtable import Api, Table
from pyairtable.formulas import match
from pyairtable.utils import Url

from providers.airtable.provider import AIRTABLE
from providers.airtable.sandbox.seed import BASE, READER_TOKEN, TOKEN
from providers.http import Request, headers

NOON = 1_795_262_400


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the simulator, a second after the one before."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    sandbox = AIRTABLE.sandbox.create()
    now = NOON

    def answer(self):
        type(self).now += 1
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        upload = "uploadAttachment" in self.path
        host = AIRTABLE.hosts[1 if upload else 0]
        request = Request(self.command, host, self.path, headers(*self.headers.items()), body)
        response = self.sandbox.handle(request, self.now)
        self.send_response(response.status, response.reason)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer  # noqa: N815  # http.server's names

    def log_message(self, *_):
        """The test says what went wrong."""


@pytest.fixture(scope="module")
def origin():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def sandbox():
    Handler.sandbox = AIRTABLE.sandbox.create()
    return Handler.sandbox


@pytest.fixture
def api(origin, sandbox):
    client = Api(TOKEN, endpoint_url=origin)
    yield client
    client.session.close()


@pytest.fixture
def tasks(api):
    return api.table(BASE, "Tasks")


def names(records):
    return [record["fields"]["Name"] for record in records]


def test_create_update_replace_and_delete(tasks):
    made = tasks.create({"Name": "Paint", "Amount": 2, "Done": True, "Due": "2026-12-01"})
    assert made["fields"].items() >= {"Name": "Paint", "Amount": 2, "Done": True}.items()
    changed = tasks.update(made["id"], {"Done": False, "Notes": "blue"})["fields"]
    assert "Done" not in changed
    assert (changed["Amount"], changed["Notes"], changed["Due"]) == (2, "blue", "2026-12-01")
    replaced = tasks.update(made["id"], {"Name": "Paint"}, replace=True)["fields"]
    assert {"Amount", "Notes", "Due"}.isdisjoint(replaced)
    assert tasks.get(made["id"])["fields"] == replaced
    assert tasks.delete(made["id"]) == {"id": made["id"], "deleted": True}
    with pytest.raises(requests.HTTPError, match="403"):
        tasks.get(made["id"])


def test_batches_are_cut_into_tens(tasks):
    made = tasks.batch_create([{"Name": f"n{i}"} for i in range(23)])
    assert names(made) == [f"n{i}" for i in range(23)]
    patched = tasks.batch_update([{"id": r["id"], "fields": {"Amount": 1}} for r in made])
    assert [r["fields"]["Amount"] for r in patched] == [1] * 23
    gone = tasks.batch_delete([r["id"] for r in made])
    assert [r["id"] for r in gone] == [r["id"] for r in made]
    assert tasks.batch_delete([gone[0]["id"]][:0]) == []
    assert len(tasks.all()) == 3


def test_upserts_tell_created_from_updated(tasks):
    known = tasks.first(formula=match({"Name": "Call back"}))
    result = tasks.batch_upsert(
        [{"fields": {"Name": "Call back", "Amount": 7}}, {"fields": {"Name": "New one"}}],
        key_fields=["Name"],
    )
    assert result["updatedRecords"] == [known["id"]]
    assert len(result["createdRecords"]) == 1
    assert names(result["records"]) == ["Call back", "New one"]
    assert tasks.get(known["id"])["fields"]["Phone"] == "+49 30 123456"


def test_listing_takes_formulas_sorts_fields_and_views(tasks):
    found = tasks.all(
        formula="AND({Done}=TRUE(), FIND('launch', {Name}))", view="Grid view", fields=["Name"]
    )
    assert [r["fields"] for r in found] == [{"Name": "Plan the launch"}]
    assert names(tasks.all(sort=["-Name"])) == sorted(names(tasks.all()), reverse=True)
    pages = list(tasks.iterate(page_size=2))
    assert [len(page) for page in pages] == [2, 1]
    assert len(tasks.all(max_records=1)) == 1


def test_a_listing_too_long_for_a_url_is_posted(tasks):
    clauses = ",".join(f"RECORD_ID()='rec{i:014}'" for i in range(800))
    found = tasks.all(formula=f"OR({clauses},{{Name}}='Call back')")
    assert names(found) == ["Call back"]


def test_fields_by_id(tasks):
    made = tasks.create({"fldName0000000000": "By id"}, use_field_ids=True)
    assert made["fields"]["fldName0000000000"] == "By id"
    assert tasks.all(use_field_ids=True, max_records=1)[0]["fields"].keys() >= {
        "fldName0000000000"
    }


def test_the_schema_is_read_and_written(api, tasks):
    assert tasks.schema().field("Status").options.choices[0].name == "Todo"
    base = api.base(BASE)
    made = base.create_table("Notes", [{"name": "Title", "type": "singleLineText"}])
    assert {t.name for t in base.tables(force=True)} == {"Tasks", "Projects", "Notes"}
    field = made.create_field("Pages", "number", options={"precision": 0})
    assert field.name == "Pages"
    assert made.create({"Title": "x", "Pages": 3})["fields"] == {"Title": "x", "Pages": 3}
    schema = made.schema(force=True)
    schema.name = "Papers"
    schema.save()
    assert api.table(BASE, "Papers").all()[0]["fields"]["Title"] == "x"


def test_the_token_and_its_bases(api):
    assert api.whoami() == {"id": "usrDemo0000000000", "email": "demo@example.com"}
    assert [base.id for base in api.bases()] == [BASE]
    assert api.base(BASE).collaborators().permission_level == "create"


def test_comments(tasks):
    comment = tasks.add_comment("recPlan0000000000", "Hello @[usrReader00000000]")
    assert comment.mentioned["usrReader00000000"].display_name == "Read Only"
    comment.text = "Never mind"
    comment.save()
    (found,) = tasks.comments("recPlan0000000000")
    assert (found.text, found.last_updated_time is not None) == ("Never mind", True)
    found.delete()
    assert tasks.comments("recPlan0000000000") == []


def test_an_attachment_is_uploaded(api, tasks, monkeypatch, origin):
    # pyairtable swaps the host of its URL for content.airtable.com: here both are one.
    original = Url.replace_url
    monkeypatch.setattr(Url, "replace_url", lambda url, netloc="", **kw: original(url, **kw))
    answer = tasks.upload_attachment("recCall0000000000", "Files", "a.txt", "x" * 100)
    (stored,) = answer["fields"]["fldFiles000000000"]
    assert (stored["filename"], stored["size"], stored["type"]) == ("a.txt", 100, "text/plain")
    assert tasks.get("recCall0000000000")["fields"]["Files"] == [stored]


def test_webhooks_are_polled_payload_by_payload(api, tasks):
    spec = {"options": {"filters": {"dataTypes": ["tableData"]}}}
    base = api.base(BASE)
    base.add_webhook("https://example.com/", spec)
    (hook,) = base.webhooks()
    hook.disable_notifications()
    for amount in range(20):
        tasks.update("recCall0000000000", {"Amount": amount + 1})
    payloads = list(hook.payloads())
    amounts = [
        p.changed_tables_by_id["tblTasks000000000"]
        .changed_records_by_id["recCall0000000000"]
        .current.cell_values_by_field_id["fldAmount00000000"]
        for p in payloads
    ]
    assert amounts == list(range(1, 21))
    assert [p.cursor for p in payloads] == list(range(1, 21))
    hook.extend_expiration()
    hook.delete()
    assert base.webhooks() == []


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"Nmae": "x"}, "UNKNOWN_FIELD_NAME"),
        ({"Amount": "x"}, "INVALID_VALUE_FOR_COLUMN"),
        ({"Status": "Nope"}, "INVALID_MULTIPLE_CHOICE_OPTIONS"),
        ({"Projects": ["recNope"]}, "ROW_DOES_NOT_EXIST"),
        ({"Cost": 1}, "the field is computed"),
    ],
)
def test_refusals_reach_the_caller_with_airtables_words(tasks, fields, kind):
    with pytest.raises(requests.HTTPError, match=kind) as raised:
        tasks.create(fields)
    assert raised.value.response.status_code == 422


def test_a_token_that_may_only_read_cannot_write(origin, sandbox):
    client = Api(READER_TOKEN, endpoint_url=origin)
    table: Table = client.table(BASE, "Tasks")
    assert len(table.all()) == 3
    with pytest.raises(requests.HTTPError, match="INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"):
        table.create({"Name": "x"})
    client.session.close()
