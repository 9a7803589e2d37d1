"""A relay that people have: aiosmtpd, with a password required, and STARTTLS if it is given a certificate and its key.

Prints its port, then each mail as a line.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

certificate = sys.argv[1:3]


class Inbox:
    async def handle_DATA(self, server, session, envelope):
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "text": envelope.content.decode(),
            "tls": session.ssl is not None,
            "authenticated": session.authenticated,
        }
        print(json.dumps(mail), flush=True)
        return "250 2.0.0 taken"


def authenticate(server, session, envelope, mechanism, data):
    # Not handled: what is refused is said by the server itself.
    return AuthResult(success=(data.login, data.password) == (b"cloud", b"open"), handled=False)


context = None
if certificate:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)


async def serve():
    def session():
        return SMTP(
            Inbox(),
            tls_context=context,
            require_starttls=context is not None,
            auth_require_tls=context is not None,
            auth_required=True,
            authenticator=authenticate,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # Until the test lets go of it.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(serve())
