"""The connector that ours is measured against: pages of audit events from Mimecast, each page posted to
the Logs Ingestion API with Microsoft's own library, the place saved after each page.

`official` works as the vendor's published connector is described to work: a connection for each call to
Mimecast, and for each page a new credential and a new ingestion client. `lean` is the same with one of
each, kept. Neither decodes ids nor reads eventInfo: the events go on as they came.

The environment says where everything is; what it took is printed as one JSON object.
"""

import importlib.metadata
import json
import os
import platform
import resource
import sys
import time

import requests
from azure.identity import ClientSecretCredential
from azure.monitor.ingestion import LogsIngestionClient

PAGE_SIZE = 500


def peak_kib():
    """VmHWM: `ru_maxrss` of a small program can be what its parent had."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


class Official:
    """Nothing is kept from one page to the next but the token of Mimecast."""

    def __init__(self, settings):
        self.settings = settings

    def mimecast(self, path, **request):
        return requests.post(self.settings["MIMECAST_BASE_URL"].rstrip("/") + path, timeout=120, **request)

    def ingestion(self):
        settings = self.settings
        credential = ClientSecretCredential(
            settings["DELIVERY_TENANT_ID"],
            settings["DELIVERY_CLIENT_ID"],
            settings["DELIVERY_CLIENT_SECRET"],
            authority=settings["PEER_AUTHORITY"],
            disable_instance_discovery=True,
        )
        return LogsIngestionClient(settings["LOGS_INGESTION_ENDPOINT"].rstrip("/"), credential)

    def post(self, events):
        settings = self.settings
        with self.ingestion() as client:
            client.upload(settings["DATA_COLLECTION_RULE_ID"], settings["PEER_STREAM"], events)


class Lean(Official):
    """One session and one ingestion client."""

    def __init__(self, settings):
        super().__init__(settings)
        self.session = requests.Session()
        self.client = self.ingestion()

    def mimecast(self, path, **request):
        return self.session.post(
            self.settings["MIMECAST_BASE_URL"].rstrip("/") + path, timeout=120, **request
        )

    def post(self, events):
        settings = self.settings
        self.client.upload(settings["DATA_COLLECTION_RULE_ID"], settings["PEER_STREAM"], events)


def collect(peer, settings):
    """Every page of the window. Gives how many pages and events there were."""
    form = {
        "client_id": settings["MIMECAST_CLIENT_ID"],
        "client_secret": settings["MIMECAST_CLIENT_SECRET"],
        "grant_type": "client_credentials",
    }
    answer = peer.mimecast("/oauth/token", data=form)
    answer.raise_for_status()
    headers = {"Authorization": "Bearer " + answer.json()["access_token"]}
    window = {"startDateTime": settings["PEER_START"], "endDateTime": settings["PEER_END"]}
    pages = events = 0
    token = None
    while True:
        pagination = {"pageSize": PAGE_SIZE}
        if token:
            pagination["pageToken"] = token
        body = {"meta": {"pagination": pagination}, "data": [window]}
        answer = peer.mimecast("/api/audit/get-audit-events", json=body, headers=headers)
        answer.raise_for_status()
        page = answer.json()
        if page.get("fail"):
            raise SystemExit(f"Mimecast refused a page: {page['fail']}")
        pages += 1
        events += len(page["data"])
        if page["data"]:
            peer.post(page["data"])
        token = page["meta"]["pagination"].get("next")
        # The vendor's keeps this in a file share, a call more for each page; a local file is cheaper.
        with open(settings["PEER_STATE"], "w", encoding="utf-8") as state:
            json.dump({"start_time": window["startDateTime"], "end_time": window["endDateTime"], "next": token}, state)
        if not token:
            return pages, events


def main():
    settings = os.environ
    peer = {"official": Official, "lean": Lean}[sys.argv[1]](settings)
    began = time.perf_counter()
    pages, events = collect(peer, settings)
    wall = time.perf_counter() - began
    spent = resource.getrusage(resource.RUSAGE_SELF)
    names = ["azure-monitor-ingestion", "azure-identity", "azure-core", "requests"]
    versions = {name: importlib.metadata.version(name) for name in names}
    print(
        json.dumps(
            {
                "pages": pages,
                "events": events,
                "wall_secs": wall,
                "cpu_secs": spent.ru_utime + spent.ru_stime,
                "peak_kib": peak_kib(),
                "versions": {"python": platform.python_version(), **versions},
            }
        )
    )


main()
