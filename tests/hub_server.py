"""A small hub on the loopback address: what huggingface-hub asks for to make, fill and read a repository."""

import hashlib
import json
from base64 import b64decode
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

TOKEN = "hf_of_the_test"


class Hub(ThreadingHTTPServer):
    """Repositories in memory."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.repositories, self.objects, self.requests = {}, {}, []

    def commit(self, name, files):
        """Add files to a repository; large ones are named by their checksum."""
        repository = self.repositories[name]
        repository["files"] |= files
        repository["sha"] = hashlib.sha1(b"".join(sorted(repository["files"].values()))).hexdigest()
        return repository["sha"]


@contextmanager
def hub_server():
    with Hub() as hub:
        thread = Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, format, *args):
        pass

    def answer(self, status, content=b"", **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, what):
        self.answer(404, {"error": f"{what} not found"}, X_Error_Code=f"{what}NotFound")

    def do_GET(self):
        path = urlsplit(self.path).path
        self.server.requests.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        repository = self.server.repositories.get(name)
        if repository is None:
            return self.missing("Repo")
        files, sha = repository["files"], repository["sha"]
        if parts[:2] == ["api", "models"]:
            kind, revision = parts[4:6] or ("revision", "main")
            if revision not in ("main", sha):
                return self.missing("Revision")
            if kind == "revision":
                return self.answer(200, {"id": name, "sha": sha, "siblings": [{"rfilename": file} for file in files]})
            entries = [
                {"type": "file", "path": file, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for file, content in files.items()
            ]
            return self.answer(200, entries)
        content = files[parts[4]]
        return self.answer(200, content, ETag=f'"{hashlib.sha1(content).hexdigest()}"', X_Repo_Commit=sha)

    do_HEAD = do_GET  # noqa: N815

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.objects[self.path.rpartition("/")[2]] = content
        self.answer(200)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = urlsplit(self.path).path
        self.server.requests.append(f"POST {path}")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, {"error": "Invalid credentials"})
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            url = f"{self.server.address}/{name}"
            if name in self.server.repositories:
                return self.answer(409, {"error": "You already created this model repo", "url": url})
            self.server.repositories[name] = {"files": {}, "sha": "0" * 40, "visibility": asked.get("visibility")}
            return self.answer(200, {"url": url})
        if path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        parts = path.strip("/").split("/")
        if parts[-1] == "batch":  # of Git LFS
            objects = [
                each | {"actions": {"upload": {"href": f"{self.server.address}/lfs/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            return self.answer(200, {"transfer": "basic", "objects": objects})
        if parts[4] == "preupload":
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": modes})
        assert parts[4] == "commit"
        files = {}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
        name = "/".join(parts[2:4])
        sha = self.server.commit(name, files)
        return self.answer(200, {"commitUrl": f"{self.server.address}/{name}/commit/{sha}", "commitOid": sha})
