"""The object store of the Copernicus Data Space on this machine: moto's S3 behind a server that makes faults.

moto is an implementation by others; it checks keys, signatures and permissions. Modelled: the bucket's name,
path-style addresses and the layout of keys, which follow the documentation and the S3Path of a real entity.
"""

import json
from contextlib import contextmanager
from urllib.parse import quote

import boto3
import requests
from loopback.server import Answer, LoopbackServer
from moto.server import ThreadedMotoServer

BUCKET = "eodata"
PASSED_ON = ("host", "authorization", "range", "x-amz-date", "x-amz-content-sha256")
TOLD = ("Content-Type", "Content-Range", "ETag", "Last-Modified")


class ObjectStore:
    """An empty store and an account that may read.

    Attributes:
        url: Its address.
        server: Stands before it: it makes faults and records requests.
        environment: Keys of the account.
    """

    def __init__(self, moto_url, server):
        self._moto_url, self.server, self.url = moto_url, server, server.url
        iam = _client("iam", moto_url, "unchecked", "unchecked")
        owner = _user(iam, "owner", "s3:*")
        access_key, secret_key = _user(iam, "reader", "s3:GetObject", "s3:ListBucket")
        self.environment = {"CDSE_S3_ACCESS_KEY": access_key, "CDSE_S3_SECRET_KEY": secret_key}
        self._owner = _client("s3", moto_url, *owner)
        self._owner.create_bucket(Bucket=BUCKET)
        # From here on nothing is answered without a right signature.
        requests.post(f"{moto_url}/moto-api/reset-auth", b"0", timeout=10).raise_for_status()
        self.forget()

    def forget(self):
        """Forgets requests, faults and other handlers: the next test finds it as the first one did."""
        self.server.seen.clear()
        self.server.faults.clear()
        self.server.served.clear()
        self.server.routes[f"/{BUCKET}"] = self._forward

    def put_product(self, folder, s3_path, omit="nothing"):
        """Stores the files of a SAFE folder under the path that the catalogue tells."""
        for path in (item for item in folder.rglob("*") if item.is_file() and omit not in item.name):
            self.put(f"{s3_path}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def put(self, s3_path, content):
        """Stores one object."""
        self._owner.put_object(Bucket=BUCKET, Key=s3_path.removeprefix(f"/{BUCKET}/"), Body=content)

    def _forward(self, request):
        headers = {name: value for name, value in request.headers.items() if name in PASSED_ON}
        url = f"{self._moto_url}{quote(request.path)}" + f"?{request.query}" * bool(request.query)
        answer = requests.get(url, headers=headers, timeout=10)
        told = {name: answer.headers[name] for name in TOLD if name in answer.headers}
        return Answer(answer.status_code, answer.content, told)


@contextmanager
def object_store():
    """Runs until the block ends."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    url = "http://127.0.0.1:{1}".format(*moto.get_host_and_port())
    try:
        with LoopbackServer() as server:
            yield ObjectStore(url, server)
    finally:
        requests.post(f"{url}/moto-api/reset-auth", b"inf", timeout=10)
        requests.post(f"{url}/moto-api/reset", timeout=10)
        moto.stop()


def _user(iam, name, *actions):
    """Access key and secret key of a new user."""
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def _client(service, url, access_key, secret_key):
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
    )
