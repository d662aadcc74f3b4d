"""tlspeer - certificates made by openssl, a host that has them, and the agent that sends to it

    rig = Rig()
    to = rig.serve("wrong.pem")
    answer, log = rig.send(to, "smtp_tls_security_level = verify\n")
"""

import hashlib
import os
import ssl
import subprocess
import tempfile

from nexthost import NextHost
from outgoing import Outgoing

NAME = "mx.next.example"
ZONE = {"far.example": ["MX 10 " + NAME], NAME: ["A 127.0.0.1"]}
OFFER = ["STARTTLS", "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"]
ONCE = "smtp_connection_cache_on_demand = no\n"
MAKE = """set -e
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj "/CN=Our Root" -days 3650
leaf() { # NAME SUBJECT-ALT-NAMES
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.csr -subj "/CN=$1"
    echo "subjectAltName=$2" >$1.ext
    openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile $1.ext -out $1.crt
    cat $1.key $1.crt >$1.pem
}
leaf right DNS:%(name)s,DNS:far.example
leaf wrong DNS:wrong.example
leaf only DNS:%(name)s
leaf below DNS:x.y.far.example
mkdir new
touch index.txt
echo 01 >serial
cat >ca.cnf <<end
[ca]
default_ca = it
[it]
database = index.txt
new_certs_dir = new
serial = serial
certificate = ca.pem
private_key = ca.key
default_md = sha256
policy = any
[any]
commonName = supplied
end
dated() { # NAME FROM UNTIL
    openssl req -new -key right.key -out $1.csr -subj "/CN=$1"
    openssl ca -batch -config ca.cnf -in $1.csr -out $1.crt -notext -startdate $2 -enddate $3 -extfile right.ext
    cat right.key $1.crt >$1.pem
}
dated old 20200101000000Z 20210101000000Z
dated early 20980101000000Z 20990101000000Z
printf 'subjectAltName=DNS:%(name)s\nextendedKeyUsage=clientAuth\n' >client.ext
openssl x509 -req -in right.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile client.ext -out client.crt
cat right.key client.crt >client.pem
openssl req -x509 -newkey rsa:2048 -nodes -keyout self.key -out self.crt -subj "/CN=portal" -days 3650 \
    -addext "subjectAltName=DNS:%(name)s"
cat self.key self.crt >self.pem
""" % {"name": NAME}


class Rig:
    """A host with one of the certificates, and the agent."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="pillarbox-tls-")
        done = subprocess.run(["sh", "-c", MAKE], cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise SystemExit("openssl: %s" % done.stdout[-500:])
        self.way = Outgoing(ONCE, zone=ZONE)
        self.host = None

    def path(self, name):
        return os.path.join(self.dir, name)

    def serve(self, certificate="right.pem", extensions=None, **more):
        if self.host:
            self.host.close()
        self.host = NextHost(name=NAME, extensions=OFFER if extensions is None else extensions,
                             certificate=self.path(certificate), **more)
        self.host.context.sni_callback = lambda sock, name, context: self.names.append(name)
        self.names = []
        return "far.example:%d" % self.host.port

    def send(self, to, main):
        """One mail with these settings: its answer, and the log that it made."""
        level = "" if "smtp_tls_loglevel" in main else "smtp_tls_loglevel = 1\n"
        self.way.restart(ONCE + level + main.replace("$D", self.dir))
        before = len(self.way.log())
        answer = self.way.send(to, ["a@far.example"])[0]
        self.way.agent.stop()
        log = self.way.log()[before:]
        self.way.agent.start()
        return answer, log

    def said(self, verb):
        return self.host.commands(verb)

    def digest(self, name):
        der = ssl.PEM_cert_to_DER_cert(open(self.path(name), encoding="ascii").read())
        return hashlib.sha256(der)
