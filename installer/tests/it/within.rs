//! The installer's stages called from here instead of through its binary, where a test needs more hold of
//! them than a command line gives.

use installer::answers::intent::Intent;
use installer::answers::{Origin, given::Given, yaml};
use installer::azure::{AuthMethod, Azure, Clock, ConnectOptions, EnvironmentValues, Timings};
use installer::deploy::package::Package;
use installer::inventory::observe::observe;
use installer::plan::{PackageFacts, PackageSource, Plan, plan};
use installer::provision::{Failed, Material, Provisioned, Steer, provision};
use installer::ui::{Loudness, Output, Ui};
use installer::world::World;

use crate::stage::{Stage, package};

/// A client that is signed in, the answers' meaning, and what goes beside a plan.
pub(crate) struct Within {
    pub(crate) azure: Azure,
    pub(crate) intent: Intent,
    pub(crate) material: Material,
    pub(crate) facts: PackageFacts,
    pub(crate) world: World,
    pub(crate) ui: Ui,
}

impl Within {
    /// All of it, from the answers file of the stage.
    pub(crate) async fn new(stage: &Stage, timings: Timings) -> Self {
        let world = World::with_environment(stage.environment.clone());
        let file = std::fs::read_to_string(stage.directory.path().join("answers.yaml")).unwrap();
        let mut given = Given::secrets_from_environment(&world);
        given.overlay(
            yaml::read(&file, |line| Origin::File { file: "answers.yaml".to_owned(), line }).unwrap(),
        );
        given.overlay(Given::from_environment(&world).unwrap());
        let intent = Intent::of(&given, &world).unwrap();
        let sources = intent.secret_sources();
        let secrets = installer::answers::secret::Secrets::read(
            &world,
            sources.iter().map(|(key, source)| (key.as_str(), *source)),
        )
        .unwrap();
        let package = Package::of(std::fs::read(package()).unwrap()).unwrap();
        let facts = PackageFacts {
            sha256: package.sha256.clone(),
            size_bytes: package.bytes.len() as u64,
            source: PackageSource::Given,
        };
        let person = stage.simulator.person();
        let clock = stage.simulator.clock().clone();
        let azure = Azure::connect(ConnectOptions {
            auth: AuthMethod::Environment,
            cloud: intent.cloud.clone(),
            tenant: Some(person.tenant_id.clone()),
            environment: EnvironmentValues {
                client_id: Some(person.client_id.clone()),
                client_secret: Some(person.client_secret.clone()),
                ..EnvironmentValues::default()
            },
            certificates: Some(stage.simulator.ca_file().to_owned()),
            timings,
            clock: Clock::new(move || clock.now()),
            executor: None,
        })
        .await
        .unwrap();
        let ui = Ui::new(&world, Output::Human, Loudness::Quiet, true);
        let material = Material { secrets: secrets.into_values(), package: Some(package.bytes) };
        Self { azure, intent, material, facts, world, ui }
    }

    /// A plan from what Azure has now.
    pub(crate) async fn plan(&self) -> Plan {
        let inventory = observe(&self.azure, &self.intent).await.unwrap();
        plan(&self.intent, &inventory, Some(&self.facts)).unwrap()
    }

    /// Carries a plan out.
    pub(crate) async fn carry_out(&self, plan: &Plan) -> Result<Provisioned, Failed> {
        let nothing = futures::stream::pending::<Steer>();
        provision(&self.azure, &self.ui, &self.world, plan, &self.material, nothing).await
    }
}
