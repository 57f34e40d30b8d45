//! Options of genai-bench that have no effect here. They are accepted, so that its command lines run
//! unchanged, and each has a note.

use clap::ArgAction;

use crate::output::{Colour, note};

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Options of genai-bench without effect")]
pub(crate) struct Theirs {
    #[arg(long, value_name = "DIR", hide = true)]
    log_dir: Option<String>,
    #[arg(long, value_name = "PORT", hide = true)]
    master_port: Option<String>,
    #[arg(long, value_name = "S", hide = true)]
    metrics_refresh_interval: Option<String>,
    #[arg(long, value_name = "TYPE", hide = true)]
    model_auth_type: Option<String>,
    #[arg(long, value_name = "TYPE", hide = true)]
    auth: Option<String>,
    #[arg(long, value_name = "NAME", hide = true)]
    profile: Option<String>,
    #[arg(long, value_name = "NAME", hide = true)]
    region: Option<String>,
    #[arg(long, value_name = "NAME", hide = true)]
    aws_region: Option<String>,
    #[arg(long, value_name = "FILE", hide = true)]
    config_file: Option<String>,
    #[arg(long, value_name = "TOKEN", hide = true)]
    security_token: Option<String>,
    #[arg(long, value_name = "URL", hide = true)]
    azure_endpoint: Option<String>,
    #[arg(long, value_name = "NAME", hide = true)]
    gcp_project_id: Option<String>,
    #[arg(long, action = ArgAction::SetTrue, hide = true)]
    upload_results: bool,
    #[arg(long, value_name = "NAME", hide = true)]
    storage_provider: Option<String>,
    #[arg(long, value_name = "NAME", hide = true)]
    storage_bucket: Option<String>,
    #[arg(long, value_name = "PREFIX", hide = true)]
    storage_prefix: Option<String>,
    #[arg(long, value_name = "TYPE", hide = true)]
    storage_auth_type: Option<String>,
    #[arg(long, value_name = "NAME", hide = true)]
    namespace: Option<String>,
    #[arg(long, value_name = "TOKEN", hide = true)]
    github_token: Option<String>,
    #[arg(long, value_name = "NAME", hide = true)]
    github_owner: Option<String>,
    #[arg(long, value_name = "NAME", hide = true)]
    github_repo: Option<String>,
}

impl Theirs {
    /// Prints a note for each option that was given.
    pub(crate) fn note(&self) {
        for (option, reason) in self.reasons() {
            note(
                "note",
                Colour::Yellow,
                format_args!("{option} has no effect: {reason}"),
            );
        }
    }

    fn reasons(&self) -> Vec<(&'static str, String)> {
        let log = "messages go to standard error; redirect it with 2> FILE";
        let workers = "one process is enough; --num-workers sets its threads";
        let refresh = "the progress is shown ten times a second";
        let auth = "the key comes from --api-key or the environment";
        let cloud = "it belongs to the backend of another cloud, which is not supported";
        let given = [
            ("--log-dir", self.log_dir.is_some(), log),
            ("--master-port", self.master_port.is_some(), workers),
            (
                "--metrics-refresh-interval",
                self.metrics_refresh_interval.is_some(),
                refresh,
            ),
            ("--model-auth-type", self.model_auth_type.is_some(), auth),
            ("--auth", self.auth.is_some(), auth),
            ("--profile", self.profile.is_some(), cloud),
            ("--region", self.region.is_some(), cloud),
            ("--aws-region", self.aws_region.is_some(), cloud),
            ("--config-file", self.config_file.is_some(), cloud),
            ("--security-token", self.security_token.is_some(), cloud),
            ("--azure-endpoint", self.azure_endpoint.is_some(), cloud),
            ("--gcp-project-id", self.gcp_project_id.is_some(), cloud),
        ];
        let given = given.into_iter().filter(|(_, is_given, _)| *is_given);
        let mut reasons: Vec<_> = given
            .map(|(option, _, reason)| (option, reason.to_owned()))
            .collect();
        if let Some(option) = self.storage_option() {
            let reason = format!(
                "results stay on this machine; upload the folder with `{}`",
                self.upload_command()
            );
            reasons.push((option, reason));
        }
        reasons
    }

    /// The first option about storage.
    fn storage_option(&self) -> Option<&'static str> {
        let given = [
            ("--upload-results", self.upload_results),
            ("--storage-provider", self.storage_provider.is_some()),
            ("--storage-bucket", self.storage_bucket.is_some()),
            ("--storage-prefix", self.storage_prefix.is_some()),
            ("--storage-auth-type", self.storage_auth_type.is_some()),
            ("--namespace", self.namespace.is_some()),
            ("--github-token", self.github_token.is_some()),
            ("--github-owner", self.github_owner.is_some()),
            ("--github-repo", self.github_repo.is_some()),
        ];
        given
            .into_iter()
            .find_map(|(option, is)| is.then_some(option))
    }

    fn upload_command(&self) -> &'static str {
        match self.storage_provider.as_deref() {
            Some("aws") => "aws s3 cp --recursive FOLDER s3://BUCKET/PREFIX",
            Some("azure") => "az storage blob upload-batch -s FOLDER -d CONTAINER",
            Some("gcp") => "gcloud storage cp -r FOLDER gs://BUCKET/PREFIX",
            Some("github") => "gh release upload TAG FOLDER/*",
            _ => "oci os object bulk-upload -bn BUCKET --src-dir FOLDER",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        theirs: Theirs,
    }

    fn reasons(line: &str) -> Vec<(&'static str, String)> {
        let words = std::iter::once("x").chain(line.split_whitespace());
        Line::parse_from(words).theirs.reasons()
    }

    #[test]
    fn every_option_has_a_note_with_its_replacement() {
        assert!(reasons("").is_empty());
        let notes = reasons("--log-dir x --master-port 5557 --metrics-refresh-interval 1");
        let options: Vec<_> = notes.iter().map(|(option, _)| *option).collect();
        let expected = ["--log-dir", "--master-port", "--metrics-refresh-interval"];
        assert_eq!(options, expected);
        let cloud = reasons(
            "--profile p --region r --aws-region r --config-file f --security-token t \
             --azure-endpoint http://a --gcp-project-id g",
        );
        assert_eq!(cloud.len(), 7);
        assert!(
            cloud
                .iter()
                .all(|(_, reason)| reason.contains("another cloud"))
        );
        let upload = reasons("--upload-results --storage-provider aws --storage-bucket b");
        assert_eq!(upload.len(), 1);
        assert_eq!(upload[0].0, "--upload-results");
        assert!(upload[0].1.contains("aws s3 cp"), "{upload:?}");
        let upload = reasons("--storage-provider gcp");
        assert!(upload[0].1.contains("gcloud storage cp"), "{upload:?}");
    }
}
