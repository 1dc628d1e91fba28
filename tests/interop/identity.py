"""Servers that are not ours: an OAuth 2 and OpenID Connect provider (Authlib), services that its
tokens and digests (Flask-HTTPAuth, and the formula of RFC 7616 on hashlib) protect.

Prints its port, then serves on loopback until its standard input ends.
"""

import hashlib
import json
import os
import secrets
import sys
import threading
import time

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import (
    ClientMixin,
    InvalidClientError,
    InvalidGrantError,
    InvalidRequestError,
    TokenMixin,
    grants,
)
from authlib.oauth2.rfc6749.grants.base import BaseGrant, TokenEndpointMixin
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Flask, Response, jsonify, request
from flask_httpauth import HTTPDigestAuth
from joserfc import jwk, jwt
from joserfc.errors import JoseError
from werkzeug.serving import make_server

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # Loopback only.

SHARED = "a shared secret of at least thirty-two bytes"
METHODS = [
    "client_secret_basic",
    "client_secret_post",
    "client_assertion_jwt",
    "none",
]
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"

app = Flask(__name__)
app.secret_key = secrets.token_hex(16)
app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
tokens = []
counts = {}
jtis = set()
lock = threading.Lock()


def count(what):
    with lock:
        counts[what] = counts.get(what, 0) + 1


class Client(ClientMixin):
    def __init__(self, client_id, method, secret=None, key=None):
        self.client_id, self.method = client_id, method
        self.secret, self.key = secret, key

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return None

    def get_allowed_scope(self, scope):
        return " ".join(s for s in (scope or "").split() if s in ("read", "write"))

    def check_redirect_uri(self, redirect_uri):
        return False

    def check_client_secret(self, client_secret):
        return self.secret is not None and secrets.compare_digest(
            self.secret, client_secret
        )

    def check_endpoint_auth_method(self, method, endpoint):
        return method == self.method

    def check_response_type(self, response_type):
        return False

    def check_grant_type(self, grant_type):
        return True


class Token(TokenMixin):
    def __init__(self, client, user, values):
        self.client, self.user, self.values = client, user, values
        self.issued = time.time()
        self.revoked = self.refresh_revoked = False

    def check_client(self, client):
        return self.client.client_id == client.client_id

    def get_scope(self):
        return self.values.get("scope", "")

    def get_expires_in(self):
        return self.values["expires_in"]

    def is_expired(self):
        return self.issued + self.get_expires_in() < time.time()

    def is_revoked(self):
        return self.revoked

    def get_user(self):
        return self.user

    def get_client(self):
        return self.client


def keys():
    """Private keys of every kind; the clients' side gets them over /keys."""
    made = {
        "rsa": jwk.RSAKey.generate_key(2048),
        "p256": jwk.ECKey.generate_key("P-256"),
        "p384": jwk.ECKey.generate_key("P-384"),
        "ed25519": jwk.OKPKey.generate_key("Ed25519"),
    }
    return made


KEYS = keys()
CLIENTS = {
    "basic": Client("basic", "client_secret_basic", SHARED.replace(" ", "-")),
    "post": Client("post", "client_secret_post", SHARED),
    "public": Client("public", "none"),
    "shared-jwt": Client(
        "shared-jwt", "client_assertion_jwt", key=jwk.OctKey.import_key(SHARED)
    ),
}
for name, key in KEYS.items():
    public = jwk.import_key(key.as_dict(private=False))
    CLIENTS[name] = Client(name, "client_assertion_jwt", key=public)


def save_token(values, oauth):
    count("issued:" + oauth.payload.grant_type)
    with lock:
        tokens.append(Token(oauth.client, oauth.user, dict(values)))


def find(member, value):
    with lock:
        found = [token for token in tokens if token.values.get(member) == value]
    return found[-1] if found else None


server = AuthorizationServer(app, CLIENTS.get, save_token)


class Assertion(JWTBearerClientAssertion):
    def get_audiences(self):
        return [request.base_url.rsplit("/", 1)[0] + "/token"]

    def validate_jti(self, claims, jti):
        with lock:
            is_new = jti not in jtis
            jtis.add(jti)
        return is_new

    def resolve_client_public_key(self, client):
        return client.key

    def process_assertion_claims(self, assertion, resolve_key):
        algorithms = ["HS256", "RS256", "ES256", "ES384", "EdDSA"]
        try:
            token = jwt.decode(assertion, resolve_key, algorithms=algorithms)
        except (JoseError, ValueError) as error:
            raise InvalidClientError(description=str(error)) from error
        self.verify_claims(token.claims)
        return token.claims


server.register_client_auth_method(Assertion.CLIENT_AUTH_METHOD, Assertion())


class ClientCredentials(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS


class Password(grants.ResourceOwnerPasswordCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def authenticate_user(self, username, password):
        if (username, password) == ("ana", "are mere"):
            return "ana"
        return None


class Refresh(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token):
        token = find("refresh_token", refresh_token)
        return token if token and not token.refresh_revoked else None

    def authenticate_user(self, credential):
        return credential.get_user() or "nobody"

    def revoke_old_credential(self, credential):
        credential.refresh_revoked = True


class Exchange(BaseGrant, TokenEndpointMixin):
    """RFC 8693, which Authlib leaves to its users."""

    GRANT_TYPE = EXCHANGE
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def validate_token_request(self):
        self.request.client = self.authenticate_token_endpoint_client()
        form = self.request.form
        if form.get("subject_token_type") != ACCESS_TOKEN:
            raise InvalidRequestError("subject_token_type")
        subject = find("access_token", form.get("subject_token"))
        if subject is None or subject.is_revoked():
            raise InvalidGrantError("subject_token")
        if form.getlist("audience") != ["https://one.example", "https://two.example"]:
            raise InvalidRequestError("audience")
        if form.get("actor_token") != "the actor" or not form.get("actor_token_type"):
            raise InvalidRequestError("actor_token")
        self.request.user = subject.get_user()

    def create_token_response(self):
        token = self.generate_token(user=self.request.user, include_refresh_token=False)
        self.save_token(token)
        token["issued_token_type"] = ACCESS_TOKEN
        return 200, token, self.TOKEN_RESPONSE_HEADER


class Known:
    CLIENT_AUTH_METHODS = METHODS

    def query_token(self, token_string, token_type_hint):
        return find("access_token", token_string)


class Introspection(Known, IntrospectionEndpoint):
    def check_permission(self, token, client, oauth):
        return True

    def introspect_token(self, token):
        count("introspected")
        return {"active": True, "iss": "https://issuer.example"}


class Revocation(Known, RevocationEndpoint):
    def revoke_token(self, token, oauth):
        count("revoked")
        token.revoked = True


for grant in (ClientCredentials, Password, Refresh, Exchange):
    server.register_grant(grant)
server.register_endpoint(Introspection)
server.register_endpoint(Revocation)


@app.post("/oauth2/token")
@app.post("/tenant/token")
@app.post("/short/oauth2/token")
def token():
    count("token")
    response = server.create_token_response()
    if response.status_code != 200:
        return response
    answer = json.loads(response.data)
    with lock:
        issued = tokens[-1]
    if request.path.startswith("/short/"):
        # Expires at once; only the refresh token lasts.
        answer["expires_in"] = 0
    if request.path.startswith("/tenant/"):
        # A JWT, as OpenID providers give them.
        claims = {"iss": request.url_root + "tenant", "sub": "x", "jti": secrets.token_hex(8)}
        issued.values["access_token"] = jwt.encode({"alg": "RS256"}, claims, KEYS["rsa"])
        answer["access_token"] = issued.values["access_token"]
    return jsonify(answer)


@app.post("/oauth2/introspect")
def introspect():
    return server.create_endpoint_response("introspection")


@app.post("/oauth2/revoke")
def revoke():
    return server.create_endpoint_response("revocation")


@app.get("/tenant/.well-known/openid-configuration")
@app.get("/liar/.well-known/openid-configuration")
def discovery():
    count("discovery")
    issuer = request.url_root + "tenant"
    return jsonify(
        issuer=issuer,
        authorization_endpoint=issuer + "/authorize",
        token_endpoint=issuer + "/token",
        jwks_uri=issuer + "/jwks",
        response_types_supported=["code"],
        subject_types_supported=["public"],
        id_token_signing_alg_values_supported=["RS256"],
    )


@app.route("/api", methods=["GET", "POST", "PUT"])
def api():
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    token = find("access_token", value) if scheme == "Bearer" else None
    if token is None or token.revoked or token.is_expired():
        count("refused")
        return Response("no", 401, {"WWW-Authenticate": "Bearer"})
    count("served")
    return jsonify(
        user=token.get_user(),
        client=token.get_client().client_id,
        scope=token.get_scope(),
        body=request.get_data(as_text=True),
    )


@app.post("/forget")
def forget():
    """All access tokens given so far are good no more."""
    with lock:
        for token in tokens:
            token.revoked = True
    return ""


@app.get("/counts")
def told():
    with lock:
        return jsonify(counts)


@app.get("/keys")
def private_keys():
    pems = {name: key.as_pem(private=True).decode() for name, key in KEYS.items()}
    return jsonify(pems)


# Digest, by a library: MD5 and MD5-sess.

plain, session = HTTPDigestAuth(), HTTPDigestAuth(algorithm="MD5-Sess")
nonces = {}
for auth in (plain, session):
    auth.get_password({"Mufasa": "Circle of Life"}.get)
    auth.generate_nonce(lambda: secrets.token_hex(16))
    auth.generate_opaque(lambda: "0123456789abcdef")
    auth.verify_nonce(lambda nonce: True)
    auth.verify_opaque(lambda opaque: opaque == "0123456789abcdef")


@app.route("/digest/library", methods=["GET", "POST"])
@plain.login_required
def digest_library():
    return jsonify(user=plain.current_user(), body=request.get_data(as_text=True))


@app.route("/digest/library-session", methods=["GET", "POST"])
@session.login_required
def digest_library_session():
    return jsonify(user=session.current_user(), body=request.get_data(as_text=True))


# Digest, by the formula: every algorithm and quality, nonces that age.

HASHES = {
    "MD5": hashlib.md5,
    "SHA-256": hashlib.sha256,
    "SHA-512-256": lambda data: hashlib.new("sha512_256", data),
}
USES = 2


def unquoted(header):
    from werkzeug.datastructures import Authorization

    parsed = Authorization.from_header(header)
    return dict(parsed.parameters) if parsed and parsed.type == "digest" else {}


@app.route("/digest/<algorithm>/<quality>", methods=["GET", "POST"])
def digest(algorithm, quality):
    place = f"{algorithm}/{quality}"
    given = unquoted(request.headers.get("Authorization"))
    made = HASHES[algorithm.removesuffix("-sess")]

    def h(*parts):
        return made(b":".join(p if isinstance(p, bytes) else p.encode() for p in parts)).hexdigest()

    def ask(stale):
        nonce = secrets.token_hex(16)
        with lock:
            nonces[nonce] = 0
        header = f'Digest realm="a \\"realm\\"", nonce="{nonce}", opaque="o", algorithm={algorithm}'
        if quality != "none":
            header += f', qop="{quality}"'
        if stale:
            header += ", stale=true"
        count(f"asked:{place}")
        both = [("WWW-Authenticate", 'Basic realm="x"'), ("WWW-Authenticate", header)]
        return Response("no", 401, both)

    if not given:
        return ask(False)
    nonce = given["nonce"]
    first = h(given["username"], 'a "realm"', "Circle of Life")
    if algorithm.endswith("-sess"):
        first = h(first, nonce, given.get("cnonce", ""))
    target = request.full_path if request.query_string else request.path
    second = [request.method, target]
    if quality == "auth-int":
        second.append(made(request.get_data()).hexdigest())
    counted = [given.get(name, "") for name in ("nc", "cnonce", "qop")]
    middle = [] if quality == "none" else counted
    expected = h(first, nonce, *middle, h(*second))
    is_right = (
        given["response"] == expected
        and given["uri"] == target
        and given.get("opaque") == "o"
        and given.get("qop", "none") == quality
        and given["username"] == "Mufasa"
    )
    if not is_right:
        count(f"wrong:{place}")
        return ask(False)
    with lock:
        uses = nonces.get(nonce)
        if uses is not None:
            nonces[nonce] += 1
    if uses is None or uses >= USES:
        return ask(True)
    if quality != "none" and int(given["nc"], 16) != uses + 1:
        count(f"wrong:{place}")
        return ask(False)
    return jsonify(user=given["username"], body=request.get_data(as_text=True), nc=given.get("nc"))


def main():
    served = make_server("127.0.0.1", 0, app, threaded=True)
    print(served.port, flush=True)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
