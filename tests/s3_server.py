"""An S3 server of this machine (moto), and buckets of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

SERVER = """
import logging
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server._server.server_port, flush=True)
input()
"""
N_LISTED = 40
"""Keys that it lists at once, where others list 1,000."""
KEY_ID, SECRET = "AKIATESTOFPATHASSETS", "SeCrEt/of+the/tests"


@contextmanager
def serve_s3() -> Iterator[str]:
    """Start a server; it ends with this process, however that ends."""
    process = subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", SERVER],
        env=os.environ | {"MOTO_S3_DEFAULT_MAX_KEYS": str(N_LISTED)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()


def make_bucket(endpoint: str) -> str:
    """Make an empty bucket and name it, its server and credentials in the environment."""
    name = f"test-{uuid.uuid4().hex}"
    os.environ.update(environment_for(endpoint))
    urlopen(Request(f"{endpoint}/{name}", method="PUT")).close()  # noqa: S310 - of this machine
    return f"s3://{name}"


def reader_of(endpoint: str) -> dict[str, str]:
    """Credentials with which nothing can be written; from now on the server asks for rights."""
    import boto3  # noqa: PLC0415 - few tests use it

    iam = boto3.client("iam", endpoint_url=endpoint, region_name="us-east-1")
    iam.create_user(UserName="reader")
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    right = {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}
    rights = json.dumps({"Version": "2012-10-17", "Statement": [right]})
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=rights)
    asks = Request(  # noqa: S310 - of this machine
        f"{endpoint}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}
    )
    urlopen(asks).close()  # noqa: S310 - of this machine
    return {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }


def environment_for(endpoint: str) -> dict[str, str]:
    """What a process needs to reach the server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }
