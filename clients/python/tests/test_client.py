"""The client against the running service that the environment names (scripts/with-service), and against a busy one.

    scripts/with-service python3 -m unittest discover -s clients/python/tests
"""

import asyncio
import os
import sys
import unittest
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facegate import AsyncClient, Client, ServiceError

URL, USER, PASSWORD = (os.environ[f"FACEGATE_{name}"] for name in ("URL", "USER", "PASSWORD"))
PORTRAIT, GROUP = (os.environ[f"FACEGATE_{name}"] for name in ("PICTURE", "GROUP_PICTURE"))


def busy_until(last: int, statuses: list[int]):
    """A service that is busy until its answer number `last`; notes what it answered."""

    def answer(_: httpx.Request) -> httpx.Response:
        statuses.append(200 if len(statuses) + 1 == last else 503)
        if statuses[-1] == 200:
            return httpx.Response(200, json={"sessionId": "s", "hasError": True, "error": "FACE_NOT_FOUND",
                                             "errorDetail": {"code": "no_face", "message": "none"}})
        return httpx.Response(503, headers={"Retry-After": "0"}, json={
            "hasError": True, "error": "INTERNAL_ERROR", "errorDetail": {"code": "overloaded", "message": "busy"}})

    return httpx.MockTransport(answer)


class AgainstTheService(unittest.TestCase):
    def test_an_accepted_picture_has_a_face_with_its_image(self):
        with Client(URL, user=USER, password=PASSWORD) as client:
            self.assertTrue(client.is_ready())
            answer = client.detect(PORTRAIT, session_id="mine", face_image=True, details=True)
        self.assertEqual((answer.session_id, answer.error), ("mine", None))
        self.assertTrue(answer.face.image.startswith(b"\xff\xd8"))
        box = answer.face.rectangle
        self.assertEqual((box.right, box.bottom), tuple(answer.raw["face"]["rectangle"][s] for s in ("right", "bottom")))
        self.assertIn("rules", answer.details)

    def test_a_rejected_picture_is_an_answer(self):
        with Client(URL, user=USER, password=PASSWORD) as client:
            answer = client.detect(Path(GROUP).read_bytes())
        self.assertEqual((answer.face, answer.error), (None, "TOO_MANY_FACES"))
        self.assertTrue(answer.error_detail.message)

    def test_what_is_no_picture_and_a_wrong_password_raise(self):
        with Client(URL, user=USER, password=PASSWORD) as client, self.assertRaises(ServiceError) as caught:
            client.detect(b"no picture")
        self.assertEqual((caught.exception.status, caught.exception.code), (422, "image_format_unknown"))
        with Client(URL, user="nobody", password="wrong") as client, self.assertRaises(ServiceError) as caught:
            client.detect(PORTRAIT)
        self.assertEqual(caught.exception.status, 401)

    def test_the_asynchronous_client_answers_the_same(self):
        async def ask():
            async with AsyncClient(URL, user=USER, password=PASSWORD) as client:
                self.assertTrue(await client.is_ready())
                return await asyncio.gather(client.detect(PORTRAIT), client.detect(GROUP))

        portrait, group = asyncio.run(ask())
        with Client(URL, user=USER, password=PASSWORD) as client:
            self.assertEqual(client.detect(PORTRAIT).face, portrait.face)
        self.assertEqual(group.error, "TOO_MANY_FACES")


class AgainstABusyService(unittest.TestCase):
    def test_a_busy_service_is_asked_again(self):
        statuses: list[int] = []
        with Client("http://service", user="a", password="b", transport=busy_until(3, statuses)) as client:
            self.assertEqual(client.detect(b"x").error, "FACE_NOT_FOUND")
        self.assertEqual(statuses, [503, 503, 200])

    def test_after_the_last_try_the_service_error_is_raised(self):
        statuses: list[int] = []

        async def ask():
            transport = busy_until(9, statuses)
            async with AsyncClient("http://service", user="a", password="b", attempts=2, transport=transport) as client:
                await client.detect(b"x")

        with self.assertRaises(ServiceError) as caught:
            asyncio.run(ask())
        self.assertEqual((caught.exception.status, caught.exception.code, statuses), (503, "overloaded", [503, 503]))

    def test_what_is_no_answer_of_facegate_is_named(self):
        bodies = ("<html>Sign in</html>", "", "null", "[]", '{"errorDetail":"none"}', '{"hasError":"no"}')
        for status, body in ((502, "<html>"), *((200, body) for body in bodies)):
            strange = httpx.MockTransport(lambda _, status=status, body=body: httpx.Response(status, text=body))
            with self.subTest(body), Client("http://service", user="a", password="b", transport=strange) as client:
                with self.assertRaises(ServiceError) as caught:
                    client.detect(b"x")
                self.assertEqual((caught.exception.status, caught.exception.code), (status, "answer_unknown"))


if __name__ == "__main__":
    unittest.main()
