"""Deploys a template to a resource group with Microsoft's own library for Python, and prints its outputs.

`cargo xtask clients` has it deploy `azuredeploy/azuredeploy.json` to the simulator: validated first, then made,
as `az deployment group create` does. The parameters come as JSON on standard input, the rest in the environment,
as for `look.py`.
"""

import json
import os
import sys
import time

from azure.core.credentials import AccessToken
from azure.mgmt.resource.deployments import DeploymentsMgmtClient

ENDPOINT = os.environ["CLIENTS_ENDPOINT"].rstrip("/")
GROUP = os.environ["CLIENTS_GROUP"]
NAME = "portal"


class Held:
    """A credential that holds one token, got by whoever started this."""

    def get_token(self, *_scopes, **_options):
        return AccessToken(os.environ["CLIENTS_TOKEN"], int(time.time()) + 3600)


def main():
    client = DeploymentsMgmtClient(
        credential=Held(),
        subscription_id=os.environ["CLIENTS_SUBSCRIPTION"],
        base_url=ENDPOINT,
        credential_scopes=[ENDPOINT + "/.default"],
        # The newest that the simulator knows; the library would ask for one that came after it.
        api_version="2025-04-01",
        retry_total=0,
    )
    with open(os.environ["CLIENTS_TEMPLATE"], encoding="utf-8") as file:
        template = json.load(file)
    body = {"properties": {"mode": "Incremental", "template": template, "parameters": json.load(sys.stdin)}}
    deployments = client.deployments
    validated = deployments.begin_validate(GROUP, NAME, body, polling_interval=0).result()
    if validated.error is not None:
        sys.exit(f"not valid: {validated.error}")
    made = deployments.begin_create_or_update(GROUP, NAME, body, polling_interval=0).result()
    print(json.dumps(made.properties.outputs))


main()
