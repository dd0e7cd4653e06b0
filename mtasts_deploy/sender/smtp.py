"""Asks MX hosts for TLS as a sender does that enforces a policy (RFC 8461 §4): greeting, EHLO, STARTTLS, handshake, QUIT. Sends no mail.

Each address by itself, pinned; one deadline for the whole exchange; the certificate is checked against the name in the MX record, which is
also what SNI says (RFC 8461 §4.2, §7.1).
"""

from __future__ import annotations

import errno
import smtplib
import socket
import ssl
import threading
import time
from typing import Final

from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.facts import Probed
from mtasts_deploy.sender.answer import shown
from mtasts_deploy.sender.certificates import Fault, certificate_fault, too_old
from mtasts_deploy.sender.failures import NO_ROUTE
from mtasts_deploy.sender.options import Endpoint, Looking
from mtasts_deploy.sender.routes import has_route
from mtasts_deploy.sender.tls import PlainSocket, TooMuch, client_context, ends, left

PORT: Final = 25
_CONNECT: Final = 15.0  # seconds for TCP
_SLOW: Final = 10.0  # seconds until the greeting; RFC 5321 §4.5.3.2.1 lets senders wait 5 minutes, few do
_ENOUGH: Final = 3  # hosts that do not answer, while none did: more would only take time
_RULE: Final = "RFC 8461 §4"
_STRIPPED: Final = ("xxxxxxxa", "xxxxxxxx")  # what firewalls write over STARTTLS
_CERTIFICATES: Final = {
    Fault.EXPIRED: "MTS620",
    Fault.NOT_YET: "MTS621",
    Fault.OTHER_NAME: "MTS622",
    Fault.UNTRUSTED: "MTS623",
    Fault.INCOMPLETE: "MTS624",
    Fault.REVOKED: "MTS625",
}


class SmtpProber:
    """A `Prober`. Its certificates are read when it is made: raises `UsageError` (MTS921, MTS923) if there are none to trust.

    May be used from several threads. Learns whether port 25 can be reached from here at all: once some hosts have not answered and none
    has, it does not ask further ones.
    """

    def __init__(self, looking: Looking) -> None:
        self._looking = looking
        self._context = client_context(looking.ca_file)
        self._turn = threading.Lock()
        self._answered = False
        self._silent: set[str] = set()

    @property
    def answered(self) -> bool:
        """Has any MX host answered on port 25?"""
        return self._answered

    def probe(self, host: str, address: str, end: Endpoint) -> Probed:
        """See `Prober`."""
        where = f"{host} at {address}"
        if not self._answered and len(self._silent - {host}) >= _ENOUGH:
            return Probed(host=host, address=address, problem=_unanswered(where, 0), unreachable=True, silent=True)
        began = time.monotonic()
        until = began + self._looking.timeout
        with PlainSocket(socket.AF_INET6 if ":" in end.address else socket.AF_INET, socket.SOCK_STREAM) as sock:
            try:
                sock.settimeout(min(_CONNECT, self._looking.timeout))
                sock.connect((end.address, end.port))
            except OSError as error:
                return self._unconnected(host, address, error, time.monotonic() - began)
            self._answered = True
            sock.until = until
            return self._converse(sock, host, address, began)

    def _unconnected(self, host: str, address: str, error: OSError, waited: float) -> Probed:
        where = f"{host} at {address}"
        silent = isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT
        with self._turn:
            if silent:
                self._silent.add(host)
        if error.errno in NO_ROUTE and not has_route(address):
            return Probed(host=host, address=address, problem=_no_family(where, address), unreachable=True)
        if error.errno in (errno.EPERM, errno.EACCES):  # a firewall on this machine
            return Probed(host=host, address=address, problem=_unanswered(where, waited), unreachable=True, silent=True)
        return Probed(host=host, address=address, seconds=waited, problem=_connect(where, error, waited), silent=silent)

    def _converse(self, sock: PlainSocket, host: str, address: str, began: float) -> Probed:
        where = f"{host} at {address}"
        smtp = smtplib.SMTP(local_hostname=_own_name(sock), timeout=self._looking.timeout)
        smtp.sock = sock
        warnings: list[Diagnostic] = []
        try:
            code, text = smtp.getreply()
            greeted = time.monotonic() - began
            if code != 220:
                return Probed(
                    host=host, address=address, seconds=greeted, problem=_turned_away(where, code, text), unreachable=400 <= code < 600
                )
            if greeted > _SLOW:
                warnings.append(_slow(where, greeted))
            problem = _offer(smtp, where)
            if problem is None:
                with self._handshake(smtp, sock, host) as tls:
                    return Probed(
                        host=host,
                        address=address,
                        protocol=tls.version() or "",
                        not_after=ends(tls.getpeercert()),
                        seconds=time.monotonic() - began,
                        warnings=tuple(warnings),
                    )
            _leave(sock)
        except (OSError, EOFError, ValueError, smtplib.SMTPException) as error:
            waited = time.monotonic() - began
            problem = _explain(where, host, error, timeout=self._looking.timeout, waited=waited)
        return Probed(host=host, address=address, seconds=time.monotonic() - began, problem=problem, warnings=tuple(warnings))

    def _handshake(self, smtp: smtplib.SMTP, sock: PlainSocket, host: str) -> ssl.SSLSocket:
        code, text = smtp.docmd("STARTTLS")
        if code != 220:
            raise smtplib.SMTPResponseException(code, text)
        sock.settimeout(left(sock.until))
        tls = self._context.wrap_socket(sock, server_hostname=host)
        _leave(tls)
        return tls


def _own_name(sock: socket.socket) -> str:
    """What we call ourselves (RFC 5321 §4.1.4): this machine's name if it is a full one, else the address that we come from."""
    name = socket.gethostname()
    if "." in name.strip("."):
        return name
    address = str(sock.getsockname()[0])
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _leave(sock: socket.socket) -> None:
    """Say goodbye; whether it is heard does not matter."""
    try:
        sock.sendall(b"QUIT\r\n")
    except OSError:
        return


def _offer(smtp: smtplib.SMTP, where: str) -> Diagnostic | None:
    """Why STARTTLS cannot be asked for, if so."""
    code, text = smtp.ehlo()
    if code == 421:
        raise smtplib.SMTPResponseException(code, str(text))
    if smtp.has_extn("starttls"):
        return None
    stripped = [word for word in _STRIPPED if smtp.has_extn(word)]
    if stripped:
        hint = "A firewall (Cisco ASA: `inspect esmtp`) writes over it. Switch that inspection off."
        return _finding("MTS610", where, "STARTTLS is struck out on the way to it", hint=hint, reported="starttls-not-supported")
    hint = "Switch STARTTLS on there (Postfix: smtpd_tls_security_level = may), with the certificate of the MX host's name."
    said = "does not offer STARTTLS" if code == 250 else f"answers EHLO with {code} and offers no STARTTLS"
    return _finding("MTS610", where, said, hint=hint, reported="starttls-not-supported")


def _explain(where: str, host: str, error: Exception, *, timeout: float, waited: float) -> Diagnostic:
    if isinstance(error, ssl.SSLCertVerificationError):
        found = certificate_fault(host, error)
        reported = {Fault.EXPIRED: "certificate-expired", Fault.OTHER_NAME: "certificate-host-mismatch"}
        name = reported.get(found.fault, "certificate-not-trusted")
        return _finding(_CERTIFICATES[found.fault], where, found.message, hint=found.hint, reported=name, ref="RFC 8461 §4.2")
    cause = error.__context__ or error  # smtplib hides errors of the socket in its own
    if isinstance(error, TimeoutError) or isinstance(cause, TimeoutError) or waited >= timeout:
        hint = "Look at the load of the server; a greeting may be held back against spammers, but not for so long."
        return _finding("MTS605", where, f"did not come to TLS within {waited:.0f} s", hint=hint)
    if isinstance(error, ssl.SSLError):
        return _handshake_failed(where, error)
    if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code in (421, 454, 501, 502, 503, 504, 530, 554):
        said = shown(_text(error.smtp_error), 60)
        hint = "It offers STARTTLS and then refuses: look at its log; often the certificate or key file cannot be read."
        message = f"answers {error.smtp_code} ({said}) instead of starting TLS"
        return _finding("MTS611", where, message, hint=hint, reported="starttls-not-supported")
    if isinstance(error, TooMuch) or isinstance(cause, TooMuch) or isinstance(error, smtplib.SMTPResponseException | ValueError):
        hint = "What answers there on port 25 is no mail server, or a broken one."
        return _finding("MTS609", where, f"does not speak SMTP ({shown(str(error) or type(error).__name__, 60)})", hint=hint)
    hint = "Look at the log of the server: it accepted the connection and gave up."
    return _finding("MTS603", where, "closed the connection before TLS", hint=hint)


def _handshake_failed(where: str, error: ssl.SSLError) -> Diagnostic:
    if too_old(error):
        hint = "Switch on TLS 1.2 and 1.3 there."
        return _finding("MTS613", where, "does not speak TLS 1.2 or newer", hint=hint, ref="RFC 8461 §7.2")
    hint = "Look at the log of the server, and whether it needs a name (SNI) that it does not know."
    return _finding("MTS614", where, f"the TLS handshake failed ({shown(error.reason or str(error))})", hint=hint, ref="RFC 8461 §7.1")


def _turned_away(where: str, code: int, text: object) -> Diagnostic:
    if not 400 <= code < 600:
        hint = "What answers there on port 25 is no mail server, or a broken one."
        return _finding("MTS609", where, f"does not greet as a mail server ({shown(_text(text), 60)})", hint=hint)
    return Diagnostic(
        code="MTS606",
        severity=Severity.WARN,
        message=f"{where}: turns this machine away ({code} {shown(_text(text), 80)}), so what it offers to others is not known",
        hint="Mail servers turn away addresses of bad repute. Look from a machine that sends mail.",
        ref="RFC 5321 §3.1",
    )


def _text(given: object) -> str:
    return given.decode("utf-8", "replace") if isinstance(given, bytes) else str(given)


def _connect(where: str, error: OSError, waited: float) -> Diagnostic:
    if error.errno == errno.ECONNREFUSED:
        hint = "Start the mail server there, or remove the address from DNS."
        return _finding("MTS600", where, "refuses connections", hint=hint)
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return _unanswered(where, waited)
    hint = "Look whether the address is still right; remove it from DNS if nothing is there."
    return _finding("MTS602", where, f"cannot be reached ({shown(error.strerror or str(error))})", hint=hint)


def _unanswered(where: str, waited: float) -> Diagnostic:
    hint = "Look at the firewall and whether the address is still right; remove it from DNS if nothing is there."
    return _finding("MTS601", where, f"does not answer (waited {waited:.0f} s)", hint=hint)


def _slow(where: str, seconds: float) -> Diagnostic:
    return Diagnostic(
        code="MTS608",
        severity=Severity.WARN,
        message=f"{where}: the greeting came after {seconds:.0f} s; some senders do not wait so long",
        hint="Hold the greeting back for a few seconds at most.",
        ref="RFC 5321 §4.5.3.2.1",
    )


def _no_family(where: str, address: str) -> Diagnostic:
    family = "IPv6" if ":" in address else "IPv4"
    return Diagnostic(
        code="MTS604",
        severity=Severity.WARN,
        message=f"{where}: this machine has no {family}, so what this address offers is not known",
        hint=f"Run where {family} works, or look at this address by other means.",
        ref=_RULE,
    )


def _finding(code: str, where: str, message: str, *, hint: str, reported: str = "validation-failure", ref: str = _RULE) -> Diagnostic:
    return Diagnostic(code=code, message=f"{where}: {message}", hint=f"{hint} TLS reports call it {reported}.", ref=ref)
