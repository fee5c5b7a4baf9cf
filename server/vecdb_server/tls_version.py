"""TLS 1.3 and nothing older. This module must not import gRPC: it reads the variable when it is imported.

gRPC for Python has no setting for the least version of TLS. Its list of cipher suites is about TLS 1.2 alone: with a
suite in it that needs a pre-shared key, which no peer has, TLS 1.2 finds no common suite, and TLS 1.3 is what is left.
`tls.refuse_older` asks the running server whether it worked.
"""

import os

VARIABLE = "GRPC_SSL_CIPHER_SUITES"
_NONE_OF_TLS_1_2 = "ECDHE-PSK-CHACHA20-POLY1305"


def require_tls_1_3() -> None:
    """Have gRPC speak TLS 1.3 only, in this process. Call it before gRPC is imported."""
    os.environ[VARIABLE] = _NONE_OF_TLS_1_2
