"""What Microsoft's own management libraries for Python see of an installation.

Prints one JSON document. `cargo xtask clients` runs it against the simulator, and compares it with what the
simulator holds: the libraries were written by neither of the two sides, so where they stumble, the simulator
answers as Azure does not.

Everything is read; nothing is written. What it needs comes in the environment: the address of Azure Resource
Manager, a token for it, the subscription, the group and the workspace. `REQUESTS_CA_BUNDLE` names the
authority to trust.
"""

import json
import os
import sys
import time

from azure.core.credentials import AccessToken
from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.applicationinsights import ApplicationInsightsManagementClient
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.keyvault import KeyVaultManagementClient
from azure.mgmt.loganalytics import LogAnalyticsManagementClient
from azure.mgmt.monitor import MonitorManagementClient
from azure.mgmt.msi import ManagedServiceIdentityClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.storage import StorageManagementClient
from azure.mgmt.web import WebSiteManagementClient

ENDPOINT = os.environ["CLIENTS_ENDPOINT"].rstrip("/")
SUBSCRIPTION = os.environ["CLIENTS_SUBSCRIPTION"]
GROUP = os.environ["CLIENTS_GROUP"]
WORKSPACE = os.environ["CLIENTS_WORKSPACE"]
TABLES = os.environ["CLIENTS_TABLES"].split(",")


class Held:
    """A credential that holds one token, got by whoever started this."""

    def get_token(self, *_scopes, **_options):
        return AccessToken(os.environ["CLIENTS_TOKEN"], int(time.time()) + 3600)


def client(kind):
    """A management client of this kind, with no attempt repeated: a refusal shall be seen."""
    return kind(
        credential=Held(),
        subscription_id=SUBSCRIPTION,
        base_url=ENDPOINT,
        credential_scopes=[ENDPOINT + "/.default"],
        retry_total=0,
    )


RESOURCES = client(ResourceManagementClient)
WEB = client(WebSiteManagementClient)
STORAGE = client(StorageManagementClient)
VAULTS = client(KeyVaultManagementClient)
MONITOR = client(MonitorManagementClient)
ROLES = client(AuthorizationManagementClient)
IDENTITIES = client(ManagedServiceIdentityClient)
LOGS = client(LogAnalyticsManagementClient)
INSIGHTS = client(ApplicationInsightsManagementClient)

#: What was seen: one entry a resource, with the library's own reading of some of its properties by the place
#: that each has in the resource's JSON.
SEEN = []


def word(value):
    """An enumeration's word; anything else as it is."""
    return getattr(value, "value", value)


def saw(library, resource, **properties):
    """Notes a resource. `properties` are named by their place, with `__` for `/`."""
    SEEN.append({
        "library": library,
        "id": resource.id,
        "properties": {"/" + place.replace("__", "/"): word(value) for place, value in properties.items()},
    })


def name_of(resource_id):
    return resource_id.rsplit("/", 1)[-1]


def of_group(listing):
    """Everything of a listing; nothing where the group is not there, which is how Azure answers then."""
    try:
        return list(listing)
    except ResourceNotFoundError:
        return []


def group():
    """The group and everything in it as the general library lists it."""
    if not RESOURCES.resource_groups.check_existence(GROUP):
        return []
    found = RESOURCES.resource_groups.get(GROUP)
    saw("resource", found, location=found.location, tags=found.tags)
    return sorted(each.id for each in RESOURCES.resources.list_by_resource_group(GROUP))


def identities():
    for listed in of_group(IDENTITIES.user_assigned_identities.list_by_resource_group(GROUP)):
        each = IDENTITIES.user_assigned_identities.get(GROUP, listed.name)
        saw("msi", each, properties__principalId=each.principal_id, properties__clientId=each.client_id)


def storage():
    for listed in of_group(STORAGE.storage_accounts.list_by_resource_group(GROUP)):
        each = STORAGE.storage_accounts.get_properties(GROUP, listed.name)
        saw(
            "storage",
            each,
            kind=each.kind,
            sku__name=each.sku.name,
            properties__allowSharedKeyAccess=each.allow_shared_key_access,
            properties__allowBlobPublicAccess=each.allow_blob_public_access,
            properties__allowCrossTenantReplication=each.allow_cross_tenant_replication,
            properties__minimumTlsVersion=each.minimum_tls_version,
            properties__supportsHttpsTrafficOnly=each.enable_https_traffic_only,
            properties__primaryEndpoints__blob=each.primary_endpoints.blob,
            properties__provisioningState=each.provisioning_state,
        )
        for container in STORAGE.blob_containers.list(GROUP, each.name):
            one = STORAGE.blob_containers.get(GROUP, each.name, container.name)
            saw("storage", one, properties__publicAccess=one.public_access)


def vaults():
    for listed in of_group(VAULTS.vaults.list_by_resource_group(GROUP)):
        each = VAULTS.vaults.get(GROUP, listed.name)
        saw(
            "keyvault",
            each,
            tags=each.tags,
            properties__vaultUri=each.properties.vault_uri,
            properties__enableRbacAuthorization=each.properties.enable_rbac_authorization,
            properties__enableSoftDelete=each.properties.enable_soft_delete,
            properties__tenantId=each.properties.tenant_id,
            properties__sku__name=each.properties.sku.name,
        )
        for secret in VAULTS.secrets.list(GROUP, each.name):
            one = VAULTS.secrets.get(GROUP, each.name, secret.name)
            saw("keyvault", one, properties__secretUri=one.properties.secret_uri)
    return sorted(each.properties.vault_id for each in VAULTS.vaults.list_deleted())


def insights():
    for listed in of_group(INSIGHTS.components.list_by_resource_group(GROUP)):
        each = INSIGHTS.components.get(GROUP, listed.name)
        saw(
            "applicationinsights",
            each,
            properties__WorkspaceResourceId=each.workspace_resource_id,
            properties__ConnectionString=each.connection_string,
        )


def rules():
    for listed in of_group(MONITOR.data_collection_rules.list_by_resource_group(GROUP)):
        each = MONITOR.data_collection_rules.get(GROUP, listed.name)
        saw(
            "monitor",
            each,
            kind=each.kind,
            location=each.location,
            properties__immutableId=each.immutable_id,
            properties__endpoints__logsIngestion=each.endpoints.logs_ingestion,
        )
        for number, flow in enumerate(each.data_flows):
            SEEN[-1]["properties"][f"/properties/dataFlows/{number}/outputStream"] = flow.output_stream
        for name, stream in each.stream_declarations.items():
            for number, column in enumerate(stream.columns):
                place = f"/properties/streamDeclarations/{name}/columns/{number}"
                SEEN[-1]["properties"][place + "/type"] = word(column.type)


def sites():
    for listed in of_group(WEB.app_service_plans.list_by_resource_group(GROUP)):
        each = WEB.app_service_plans.get(GROUP, listed.name)
        saw("web", each, sku__name=each.sku.name, sku__tier=each.sku.tier, properties__reserved=each.reserved)
    beside = {}
    for listed in of_group(WEB.web_apps.list_by_resource_group(GROUP)):
        each = WEB.web_apps.get(GROUP, listed.name)
        runtime = each.function_app_config.runtime
        saw(
            "web",
            each,
            kind=each.kind,
            properties__state=each.state,
            properties__httpsOnly=each.https_only,
            properties__defaultHostName=each.default_host_name,
            properties__keyVaultReferenceIdentity=each.key_vault_reference_identity,
            properties__functionAppConfig__runtime__name=runtime.name,
            properties__functionAppConfig__runtime__version=runtime.version,
        )
        for number, host in enumerate(each.host_name_ssl_states):
            SEEN[-1]["properties"][f"/properties/hostNameSslStates/{number}/hostType"] = word(host.host_type)
        references = WEB.web_apps.get_app_settings_key_vault_references(GROUP, each.name)
        beside = {
            "settings": dict(WEB.web_apps.list_application_settings(GROUP, each.name).properties),
            "references": {name_of(one.id): word(one.status) for one in references},
            "functions": sorted(name_of(one.id) for one in WEB.web_apps.list_functions(GROUP, each.name)),
            "https_alone": WEB.web_apps.get_configuration(GROUP, each.name).min_tls_version,
            "publishing": {
                "scm": WEB.web_apps.get_scm_allowed(GROUP, each.name).allow,
                "ftp": WEB.web_apps.get_ftp_allowed(GROUP, each.name).allow,
            },
        }
    return beside


def workspace():
    """The workspace and the tables that the installation uses, which are there before and after."""
    workspace_group, name = WORKSPACE.split("/")[4], name_of(WORKSPACE)
    found = LOGS.workspaces.get(workspace_group, name)
    saw("loganalytics", found, location=found.location, properties__customerId=found.customer_id)
    for table in LOGS.tables.list_by_workspace(workspace_group, name):
        if table.name not in TABLES:
            continue
        each = LOGS.tables.get(workspace_group, name, table.name)
        saw("loganalytics", each, properties__plan=each.plan, properties__schema__name=each.schema.name)
        for number, column in enumerate(each.schema.columns):
            SEEN[-1]["properties"][f"/properties/schema/columns/{number}/name"] = column.name


def searches():
    """Functions and hunting queries, which live in the workspace and outlive the installation's group."""
    workspace_group, name = WORKSPACE.split("/")[4], name_of(WORKSPACE)
    for each in LOGS.saved_searches.list_by_workspace(workspace_group, name).value:
        saw(
            "loganalytics",
            each,
            properties__category=each.category,
            properties__displayName=each.display_name,
            properties__query=each.query,
        )


def roles():
    """Roles given in the subscription, with what each is called."""
    names = {}
    for each in ROLES.role_assignments.list_for_subscription():
        definition = each.role_definition_id
        if definition not in names:
            names[definition] = ROLES.role_definitions.get_by_id(definition).role_name
        saw(
            "authorization",
            each,
            properties__principalId=each.principal_id,
            properties__roleDefinitionId=each.role_definition_id,
            properties__scope=each.scope,
        )
    return sorted(names.values())


def main():
    seen = {"listed": group()}
    identities()
    storage()
    seen["deleted_vaults"] = vaults()
    insights()
    rules()
    seen["site"] = sites()
    workspace()
    searches()
    seen["roles"] = roles()
    seen["seen"] = SEEN
    json.dump(seen, sys.stdout, default=str)


main()
