"""Prints a key set and tokens made by PyJWT, each with the status that it must be answered with."""

import json
import sys
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER = "https://id.partner.example"


def main() -> int:
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    ec_key = ec.generate_private_key(ec.SECP256R1())
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwks = {
        "keys": [
            {**json.loads(RSAAlgorithm.to_jwk(rsa_key.public_key())), "kid": "rsa", "use": "sig"},
            {**json.loads(ECAlgorithm.to_jwk(ec_key.public_key())), "kid": "ec", "use": "sig"},
        ]
    }
    now = int(time.time())

    def token(what, status, key=rsa_key, algorithm="RS256", kid="rsa", **claims):
        content = {"iss": ISSUER, "aud": "taraf", "sub": "ana", "iat": now, "exp": now + 600, "scope": "read"}
        content.update(claims)
        headers = {"kid": kid} if kid else {}
        made = jwt.encode(content, key, algorithm=algorithm, headers=headers)
        return {"what": what, "status": status, "token": made}

    tokens = [
        token("RSA", 200),
        token("EC", 200, key=ec_key, algorithm="ES256", kid="ec"),
        token("without a key id", 200, kid=None),
        token("a list of audiences", 200, aud=["other", "taraf"]),
        token("expired", 401, exp=now - 60),
        token("expired within the leeway", 200, exp=now - 5),
        token("not yet valid", 401, nbf=now + 120),
        token("for somebody else", 401, aud="other"),
        token("by another issuer", 401, iss="https://evil.example"),
        token("signed by another key", 401, key=other),
        token("an algorithm that is not listed", 401, algorithm="RS512"),
        token("the wrong key for its id", 401, kid="ec"),
        token("a shared secret", 401, key="x" * 32, algorithm="HS256"),
        token("without a scope", 403, scope=""),
        token("an empty subject", 401, sub=""),
    ]
    json.dump({"jwks": jwks, "tokens": tokens}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
