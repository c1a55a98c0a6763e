"""What can go wrong with one call to an API, as one tree.

Everything that the upstream room raises is an `UpstreamError`; exceptions of aiohttp,
ssl and the operating system are renamed at the seam (`httpproxy.upstream.renaming`)
and stay reachable as `__cause__`. The type says what failed, and three attributes say
what a caller must know to act:

    proxy_error  the error token of RFC 9209, for `Proxy-Status`
    sent         whether the API can have seen the call: "no", "yes", "unknown"
    timed_out    it was time that ran out (504), not a failure (502)

    UpstreamError
    ├── WaitExpired            no permit in time                        sent: no
    ├── Unsendable             not a message we would put on the wire   sent: no
    ├── NotConnected           no connection was made                   sent: no
    │   ├── NameUnresolved       the host name has no address
    │   ├── AddressProhibited    it leads into the operator's own networks
    │   ├── ConnectionRefused    nobody listens there
    │   ├── Unreachable          no route, or another network error
    │   ├── ConnectTimeout       no connection in time
    │   ├── CertificateRejected  TLS: the certificate does not prove the host
    │   └── TlsFailed            TLS: no agreement
    ├── ConnectionTerminated   lost before an answer began              sent: unknown
    ├── AnswerTimeout          no complete answer in time               sent: unknown, or
    │                                                                   yes once it began
    └── BadAnswer              it answered, but not with HTTP we accept sent: yes
        ├── AnswerIncomplete     cut short
        ├── AnswerTooLarge       body over our limit
        ├── HeadTooLarge         status line or a header field over our limit
        ├── UpgradeAnswered      101, which nobody asked for
        └── Malformed            anything else that is not HTTP

`detail` is a sentence for the client. It is made here and never from a foreign
exception's text, so it cannot carry a token, a query string or a sync's unique id.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Sent = Literal["no", "yes", "unknown"]


class UpstreamError(Exception):
    """A call to an API that has no answer we can hand on."""

    proxy_error: ClassVar[str] = "proxy_internal_error"
    said: ClassVar[str] = "the call to the API failed"
    timed_out: ClassVar[bool] = False
    sent: Sent = "unknown"

    def __init__(self, detail: str = "") -> None:
        self.detail = detail or self.said
        super().__init__(self.detail)


class WaitExpired(UpstreamError):
    """No permit in time.

    `expected_wait` is how many seconds a call of this class would have to wait now;
    `ahead` is how many calls are before it.
    """

    proxy_error = "http_request_denied"
    said = "the rate limit left no room for this call in time"
    timed_out = True
    sent: Sent = "no"

    def __init__(self, expected_wait: float, ahead: int) -> None:
        super().__init__(
            f"{self.said}: {ahead} calls are ahead, expected to take {expected_wait:.1f} s more"
        )
        self.expected_wait, self.ahead = expected_wait, ahead


class Unsendable(UpstreamError):
    """Not a message that we would put on the wire."""

    proxy_error = "http_request_error"
    said = "the request cannot be written as HTTP"
    sent: Sent = "no"


class NotConnected(UpstreamError):
    """No connection was made, so nothing left."""

    proxy_error = "destination_unavailable"
    said = "no connection to the API could be made"
    sent: Sent = "no"


class NameUnresolved(NotConnected):
    """The host name has no address."""

    proxy_error = "dns_error"
    said = "the API's host name could not be resolved"


class AddressProhibited(NotConnected):
    """The host name leads to an address of the operator's own networks (`guard`)."""

    proxy_error = "destination_ip_prohibited"
    said = "the API's host name leads to an address that is not on the Internet"

    def __init__(self, host: str = "", why: str = "") -> None:
        super().__init__(
            f"{host} leads to an address that is {why}, which no API's host name should. If"
            f' that is meant, name it in the setting upstreams: {{"{host}": "https://{host}"}}'
            if host
            else ""
        )


class ConnectionRefused(NotConnected):
    """Nobody listens there."""

    proxy_error = "connection_refused"
    said = "the API refused the connection"


class Unreachable(NotConnected):
    """No route to the address, or another network error while connecting."""

    proxy_error = "destination_ip_unroutable"
    said = "the API's address could not be reached"


class ConnectTimeout(NotConnected):
    """No connection in time; that includes waiting for a place in the pool."""

    proxy_error = "connection_timeout"
    said = "no connection to the API in time"
    timed_out = True


class CertificateRejected(NotConnected):
    """The certificate does not prove that this is the host."""

    proxy_error = "tls_certificate_error"
    said = "the API's certificate was not accepted"


class TlsFailed(NotConnected):
    """The two sides found no TLS that both accept."""

    proxy_error = "tls_protocol_error"
    said = "no TLS connection to the API could be agreed on"


class ConnectionTerminated(UpstreamError):
    """The connection was lost before an answer began: the call may have been carried out."""

    proxy_error = "connection_terminated"
    said = "the connection to the API was lost before it answered"


class AnswerTimeout(UpstreamError):
    """No complete answer in time. `sent` is "yes" if the answer had begun."""

    proxy_error = "http_response_timeout"
    said = "the API did not answer in time"
    timed_out = True

    def __init__(self, *, began: bool) -> None:
        super().__init__("the API did not finish its answer in time" if began else "")
        self.sent = "yes" if began else "unknown"


class BadAnswer(UpstreamError):
    """The API answered, but not with an answer that we can hand on whole."""

    proxy_error = "http_protocol_error"
    said = "the API's answer is not valid HTTP"
    sent: Sent = "yes"


class Malformed(BadAnswer):
    """Not HTTP, HTTP whose end is ambiguous (two lengths, length and chunks), or more
    header fields than we accept."""


class AnswerIncomplete(BadAnswer):
    """Cut short, or not to be read further. What came is dropped: half an answer is
    never shown as a whole one."""

    proxy_error = "http_response_incomplete"
    said = "the API's answer was cut short"


class AnswerTooLarge(BadAnswer):
    """The body is over our limit."""

    proxy_error = "http_response_body_size"
    said = "the API's answer is larger than this proxy accepts"


class HeadTooLarge(BadAnswer):
    """The status line or a header field is over our limit."""

    proxy_error = "http_response_header_section_size"
    said = "the header fields of the API's answer are larger than this proxy accepts"


class UpgradeAnswered(BadAnswer):
    """101 Switching Protocols, which nobody asked for."""

    proxy_error = "http_upgrade_failed"
    said = "the API switched protocols without being asked"
