//! Publishing a package, with the service's habits.

use bytes::Bytes;
use installer::azure::publish::Service;
use installer::azure::{Access, AzureError, Published};
use serde_json::{Value, json};

use super::stand::{Stand, cause, turn};

const STATUS: &str = "/api/deployments/d-1";

fn accepted() -> super::stand::Turn {
    turn("POST", "/api/publish", 202).json(json!("d-1"))
}

fn status(number: i64, text: &str) -> Value {
    json!({"id": "d-1", "status": number, "status_text": text, "complete": number > 2})
}

async fn publish(stand: &Stand, access: Access) -> Result<Published, AzureError> {
    stand.azure.publish(stand.root(), Service::OneDeploy, Bytes::from_static(b"PK\x03\x04zip"), access).await
}

#[tokio::test]
async fn a_package_is_uploaded_and_watched_by_the_status_in_the_body() {
    let stand = Stand::expecting([
        accepted(),
        // The deployment is not known at once.
        turn("GET", STATUS, 404),
        turn("GET", STATUS, 404),
        turn("GET", STATUS, 404),
        turn("GET", STATUS, 404),
        turn("GET", STATUS, 202).json(status(0, "")),
        turn("GET", STATUS, 202).json(status(1, "Building")),
        turn("GET", STATUS, 200).json(status(2, "Deploying")).header("retry-after", "1"),
        turn("GET", STATUS, 200).json(status(4, "")),
    ])
    .await;
    assert_eq!(publish(&stand, Access::Standing).await.unwrap(), Published::Confirmed);
    stand.done();
    let upload = &stand.calls()[0];
    assert_eq!(upload.body, b"PK\x03\x04zip".as_slice());
    assert_eq!(upload.header("content-type"), Some("application/zip"));
    assert!(upload.header("authorization").unwrap().starts_with("Bearer "));
    assert!(upload.target.contains("RemoteBuild=false"), "{}", upload.target);
}

#[tokio::test]
async fn a_failed_deployment_is_an_error_with_its_reason_though_the_status_is_200() {
    for (number, state) in [(3, "failed"), (-1, "cancelled"), (6, "partially succeeded")] {
        let stand = Stand::expecting([
            accepted(),
            turn("GET", STATUS, 200).json(status(number, "host.json is not there")),
        ])
        .await;
        let error = publish(&stand, Access::Standing).await.unwrap_err();
        assert!(
            matches!(&error, AzureError::OperationFailed { state: word, .. } if word == state),
            "{error:?}"
        );
        assert!(error.refusal().unwrap().to_string().contains("host.json is not there"));
        stand.done();
    }
}

#[tokio::test]
async fn a_container_that_refuses_the_new_identity_is_waited_out() {
    let refused = "BlobUploadFailedException: Failed to upload blob to storage account: Response status code \
                   does not indicate success: 403 (This request is not authorized).";
    let stand = Stand::expecting([
        turn("POST", "/api/publish", 400).text(refused),
        turn("POST", "/api/publish", 400).text(refused),
        // The same may show only while deploying.
        accepted(),
        turn("GET", STATUS, 200).json(status(3, refused)),
        accepted(),
        turn("GET", STATUS, 200).json(status(4, "")),
    ])
    .await;
    assert_eq!(publish(&stand, Access::Standing).await.unwrap(), Published::Confirmed);
    stand.done();

    let stand = Stand::expecting([turn("POST", "/api/publish", 400).text("The zip is damaged.")]).await;
    let error = publish(&stand, Access::JustGranted).await.unwrap_err();
    assert!(error.refusal().unwrap().to_string().contains("The zip is damaged."));
    stand.done();
}

#[tokio::test]
async fn a_fresh_site_may_refuse_for_a_while_and_an_old_one_may_not() {
    for status_code in [401, 403, 404] {
        let times = if status_code == 401 { 4 } else { 2 };
        let stand = Stand::expecting(
            (0..times)
                .map(|_| turn("POST", "/api/publish", status_code))
                .chain([accepted(), turn("GET", STATUS, 200).json(status(4, ""))]),
        )
        .await;
        assert_eq!(publish(&stand, Access::JustGranted).await.unwrap(), Published::Confirmed);
        stand.done();

        let once = if status_code == 401 { 2 } else { 1 };
        let stand = Stand::expecting((0..once).map(|_| turn("POST", "/api/publish", status_code))).await;
        let error = publish(&stand, Access::Standing).await.unwrap_err();
        assert_eq!(error.status(), Some(status_code));
        stand.done();
    }
}

#[tokio::test]
async fn another_deployment_is_let_end_first() {
    let stand = Stand::expecting([
        turn("POST", "/api/publish", 409).text("There is a deployment currently in progress."),
        accepted(),
        turn("GET", STATUS, 200).json(status(5, "")),
        accepted(),
        turn("GET", STATUS, 200).json(status(4, "")),
    ])
    .await;
    assert_eq!(publish(&stand, Access::Standing).await.unwrap(), Published::Confirmed);
    stand.done();
}

#[tokio::test]
async fn a_service_that_lost_sight_of_the_deployment_leaves_it_unconfirmed() {
    let stand = Stand::expecting(
        [accepted(), turn("GET", STATUS, 200).json(status(2, ""))]
            .into_iter()
            .chain((0..4).map(|_| turn("GET", STATUS, 404))),
    )
    .await;
    assert_eq!(publish(&stand, Access::Standing).await.unwrap(), Published::Unconfirmed);
    stand.done();
}

// BR-106
#[tokio::test]
async fn a_service_that_stays_away_is_given_up_with_its_cause() {
    let stand = Stand::expecting([
        turn("POST", "/api/publish", 503),
        turn("POST", "/api/publish", 503),
        // Longer than anybody waits.
        turn("POST", "/api/publish", 503)
            .header("retry-after", "90000")
            .header("x-ms-request-id", "their-id"),
    ])
    .await;
    let error = publish(&stand, Access::Standing).await.unwrap_err();
    stand.done();
    let (attempts, last) = cause(&error);
    assert_eq!(attempts, 3);
    assert!(matches!(last, AzureError::Refused(refusal) if refusal.status == 503), "{last:?}");
    assert_eq!(error.request_id(), Some("their-id"));
}

#[tokio::test]
async fn an_answer_without_a_usable_id_is_an_error() {
    for body in ["", "\"\"", "\"../../admin\"", "<html>"] {
        let stand = Stand::expecting([turn("POST", "/api/publish", 202).text(body)]).await;
        let error = publish(&stand, Access::Standing).await.unwrap_err();
        assert!(matches!(error, AzureError::Incomplete { .. }), "{body}: {error:?}");
        stand.done();
    }
}

#[tokio::test]
async fn a_plan_other_than_flex_consumption_takes_the_zip_and_names_no_deployment() {
    let stand = Stand::expecting([
        turn("POST", "/api/zipdeploy", 202),
        turn("GET", "/api/deployments/latest", 202).json(status(2, "Deploying")),
        turn("GET", "/api/deployments/latest", 200).json(status(4, "")),
    ])
    .await;
    let zip = Bytes::from_static(b"PK\x03\x04zip");
    let published =
        stand.azure.publish(stand.root(), Service::ZipDeployment, zip, Access::Standing).await.unwrap();
    assert_eq!(published, Published::Confirmed);
    stand.done();
}
