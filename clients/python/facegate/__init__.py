"""Client of a running facegate service: pictures in, typed answers out.

    from facegate import Client

    with Client("http://127.0.0.1:8080", user="ann", password=...) as client:
        answer = client.detect("portrait.jpg")
        if answer.face:
            print(answer.face.age, answer.face.passive_liveness_score)
        else:
            print(answer.error, answer.error_detail.message)

`AsyncClient` is the same with `await`. A picture that cannot be used is an answer with `error`; a call that did not work
(wrong password, no picture, service busy for too long) raises `ServiceError`.
"""

from ._client import AsyncClient, Client
from ._types import Answer, ErrorDetail, Face, Rectangle, ServiceError

__all__ = ["Answer", "AsyncClient", "Client", "ErrorDetail", "Face", "Rectangle", "ServiceError"]
