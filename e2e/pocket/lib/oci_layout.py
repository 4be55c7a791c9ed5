"""Writes a container image as an OCI layout in a tar file, which
`ctr images import` reads. One uncompressed layer, times and order fixed, so
that the same content is the same digest.

    oci_layout.py OUT NAME rootfs DIR ENTRYPOINT...
    oci_layout.py OUT NAME binary FILE [FILE:DEST ...]

`rootfs` takes a whole folder as it is. `binary` makes the least that one
program needs: the binary in /usr/local/bin, the libraries and the loader that
`ldd` names at their own paths, CA certificates, user 65532, /tmp.
"""

import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import tarfile

USER = 65532
ETC = {
    "etc/passwd": f"root:x:0:0:root:/:/sbin/nologin\nheadworks:x:{USER}:{USER}:headworks:/tmp:/sbin/nologin\n",
    "etc/group": f"root:x:0:\nheadworks:x:{USER}:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


class Hashed:
    """A file that knows the SHA-256 and the size of what was written."""

    def __init__(self, path):
        self.file, self.sha, self.size = open(path, "wb"), hashlib.sha256(), 0

    def write(self, data):
        self.sha.update(data)
        self.size += len(data)
        return self.file.write(data)

    def tell(self):
        return self.size


class Layer:
    def __init__(self, path):
        self.out = Hashed(path)
        self.tar = tarfile.open(fileobj=self.out, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20)
        self.seen = set()

    def folder(self, path, mode=0o755, owner=0):
        path = path.strip("/")
        if path and path not in self.seen:
            self.folder(os.path.dirname(path))
            self.seen.add(path)
            self.tar.addfile(entry(path, tarfile.DIRTYPE, mode, owner))

    def text(self, path, content):
        self.folder(os.path.dirname(path))
        self.seen.add(path)
        info = entry(path, tarfile.REGTYPE, 0o644, 0)
        info.size = len(content)
        self.tar.addfile(info, io.BytesIO(content.encode()))

    def file(self, source, path):
        path = path.strip("/")
        if path in self.seen:
            return
        self.folder(os.path.dirname(path))
        self.seen.add(path)
        with open(source, "rb") as data:
            status = os.fstat(data.fileno())
            mode = 0o755 if status.st_mode & 0o111 else 0o644
            info = entry(path, tarfile.REGTYPE, mode, 0)
            info.size = status.st_size
            self.tar.addfile(info, data)

    def rootfs(self, root):
        """Everything below `root`, with its owners, modes and links."""
        for folder, folders, files in os.walk(root):
            folders.sort()
            for name in sorted(folders + files):
                source = os.path.join(folder, name)
                status = os.lstat(source)
                info = self.tar.gettarinfo(source, os.path.relpath(source, root))
                if info is None:  # a socket
                    continue
                info.uname = info.gname = ""
                info.mtime = 0
                if stat.S_ISREG(status.st_mode):
                    # A hard link's second name is written out as a file.
                    info.type, info.linkname, info.size = tarfile.REGTYPE, "", status.st_size
                    with open(source, "rb") as data:
                        self.tar.addfile(info, data)
                else:
                    self.tar.addfile(info)

    def close(self):
        self.tar.close()
        self.out.file.close()
        return self.out.sha.hexdigest(), self.out.size


def entry(path, kind, mode, owner):
    info = tarfile.TarInfo(path)
    info.type, info.mode, info.uid, info.gid, info.mtime = kind, mode, owner, owner, 0
    return info


def libraries(program):
    """The paths `ldd` names for an ELF program, loader included."""
    with open(program, "rb") as start:
        if start.read(4) != b"\x7fELF":
            return []
    answer = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    found = []
    for line in answer.stdout.splitlines():
        words = line.replace("=>", " ").split()
        if "not" in words and "found" in words:
            sys.exit(f"oci_layout: {program} needs {words[0]}, which this machine does not have")
        found += [word for word in words if word.startswith("/")][:1]
    # glibc before 2.34 loads its resolver by name, so ldd does not show it.
    for libc in [path for path in found if os.path.basename(path) == "libc.so.6"]:
        for name in ("libnss_files.so.2", "libnss_dns.so.2"):
            path = os.path.join(os.path.dirname(libc), name)
            if os.path.exists(path):
                found.append(path)
    return found


def binary_layer(layer, program, extras):
    layer.folder("tmp", 0o1777)
    for path, content in ETC.items():
        layer.text(path, content)
    if os.path.exists(CERTIFICATES):
        layer.file(CERTIFICATES, CERTIFICATES)
    wanted = [(program, "/usr/local/bin/" + os.path.basename(program))]
    for extra in extras:
        source, _, destination = extra.rpartition(":")
        if not source or not destination.startswith("/"):
            sys.exit(f"oci_layout: {extra}: expected FILE:/PATH/IN/THE/IMAGE")
        if os.path.isdir(source):
            for folder, _, files in sorted(os.walk(source)):
                for name in sorted(files):
                    inner = os.path.join(folder, name)
                    wanted.append((inner, os.path.join(destination, os.path.relpath(inner, source))))
        else:
            wanted.append((source, destination))
    for source, destination in wanted:
        layer.file(source, destination)
        for library in libraries(source):
            layer.file(library, library)
    return [wanted[0][1]]


def main(out, name, kind, what, *rest):
    layer_path = out + ".layer"
    layer = Layer(layer_path)
    config = {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"], "WorkingDir": "/"}
    if kind == "rootfs":
        layer.rootfs(what)
        config["Entrypoint"] = list(rest)
    else:
        config["Entrypoint"] = binary_layer(layer, what, rest)
        config["User"] = f"{USER}:{USER}"
        config["Env"].append("SSL_CERT_FILE=" + CERTIFICATES)
    layer_digest, layer_size = layer.close()

    blobs = {}

    def blob(value):
        data = json.dumps(value, sort_keys=True).encode()
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"digest": "sha256:" + digest, "size": len(data)}

    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    config_blob = blob({
        "architecture": architecture, "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + layer_digest]},
    })
    manifest = blob({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config_blob},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": "sha256:" + layer_digest, "size": layer_size}],
    })
    index = {"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", **manifest,
        "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]},
    }]}
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as image:
        def add(path, data):
            info = entry(path, tarfile.REGTYPE, 0o644, 0)
            info.size = len(data)
            image.addfile(info, io.BytesIO(data))

        add("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        add("index.json", json.dumps(index).encode())
        for digest, data in blobs.items():
            add("blobs/sha256/" + digest, data)
        with open(layer_path, "rb") as data:
            info = entry("blobs/sha256/" + layer_digest, tarfile.REGTYPE, 0o644, 0)
            info.size = layer_size
            image.addfile(info, data)
    os.unlink(layer_path)


if __name__ == "__main__":
    if len(sys.argv) < 5 or sys.argv[3] not in ("rootfs", "binary"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
