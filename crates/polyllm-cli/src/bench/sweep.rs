//! The runs of an experiment, one after another; each is on the disk before the next begins.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use bench_report::markdown;
use llm_bench::summary::RunSummary;
use llm_bench::{
    FailureKind, Folder, Interrupts, LoadSearch, Outcome, Results, Run, RunEnd, Runner,
};

use crate::bench::INTERRUPTED;
use crate::bench::allowed::Allowed;
use crate::bench::args::{Bench, SearchKind, TimeUnit};
use crate::bench::calibrate::Calibrator;
use crate::bench::live::{Live, Style};
use crate::bench::report;
use crate::bench::setup::{Point, Setup};
use crate::bench::together::Member;
use crate::output::{Colour, note, print};

pub(crate) async fn run(
    args: Bench,
    allowed: &Allowed,
    interrupts: Interrupts,
    mut member: Option<&mut Member>,
) -> Result<ExitCode> {
    let json = args.output.json;
    let unit = args.output.metrics_time_unit;
    let base = args.output.experiment_base_dir.clone().unwrap_or_default();
    let named = args.output.experiment_folder_name.is_some();
    let calibrator = match args.measuring.no_calibration {
        true => None,
        false => Some(Calibrator::start()?),
    };
    let mut stopped = interrupts.clone();
    let mut setup = tokio::select! {
        setup = Setup::new(args, allowed) => setup?,
        // A dataset may take a while to arrive, and there is nothing to report yet.
        _ = stopped.wait_for(|count| *count > 0) => return Ok(ExitCode::from(INTERRUPTED)),
    };
    if let Some(member) = &mut member {
        member.sign(&mut setup.experiment);
    }
    if !named {
        free_name(&base, &mut setup.experiment.name)
            .with_context(|| format!("cannot write to {}", base.display()))?;
    }
    let path = base.join(&setup.experiment.name);
    if path.join("experiment_metadata.json").exists() {
        bail!(
            "{} holds an experiment already: choose another --experiment-folder-name",
            path.display()
        );
    }
    let folder = Folder::create(&path, &setup.experiment)
        .with_context(|| format!("cannot write to {}", path.display()))?;
    let mut results = Results::default();
    results.experiment = setup.experiment.clone();
    let mut sweep = Sweep {
        setup,
        calibrator,
        folder,
        results,
        interrupts,
        style: Style::choose(json),
        unit,
        spent: 0.0,
        number: 0,
        failure: None,
        member,
    };
    let done = sweep.all().await;
    // Whatever went wrong, what was measured so far is reported.
    let status = sweep.conclude(json)?;
    done?;
    if let Some(member) = sweep.member {
        member.measured(sweep.results);
    }
    Ok(status)
}

/// Makes the folder of this name, or of one like it: two experiments may begin in the same second.
pub(crate) fn free_name(base: &Path, name: &mut String) -> io::Result<()> {
    fs::create_dir_all(base)?;
    let wanted = name.clone();
    let mut number = 1;
    loop {
        match fs::create_dir(base.join(&*name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number += 1;
                *name = format!("{wanted}_{number}");
            }
            made => return made,
        }
    }
}

struct Sweep<'a> {
    setup: Setup,
    calibrator: Option<Calibrator>,
    folder: Folder,
    results: Results,
    interrupts: Interrupts,
    style: Style,
    unit: TimeUnit,
    /// Dollars.
    spent: f64,
    number: u32,
    /// What the last failed request said.
    failure: Option<(FailureKind, String)>,
    /// When this machine is one of several that measure together.
    member: Option<&'a mut Member>,
}

impl Sweep<'_> {
    async fn all(&mut self) -> Result<()> {
        for point in self.setup.points.clone() {
            let go_on = match self.setup.search {
                Some(kind) => self.search(kind, point).await?,
                None => self.one(&point).await?.is_some(),
            };
            if !go_on {
                break;
            }
        }
        Ok(())
    }

    /// Makes a run; `None` when there are to be no more.
    async fn one(&mut self, point: &Point) -> Result<Option<f64>> {
        let budget = self.setup.experiment.limits.max_cost;
        let left = budget.map(|budget| budget - self.spent);
        if *self.interrupts.borrow() > 0 || left.is_some_and(|left| left <= 0.0) {
            return Ok(None);
        }
        let spec = self.setup.spec(self.number, point)?.with_budget(left);
        self.number += 1;
        let bias = match &self.calibrator {
            Some(calibrator) => calibrator.short(spec.load(), &self.interrupts).await,
            None => None,
        };
        if let Some(member) = &mut self.member {
            let mut stopped = self.interrupts.clone();
            tokio::select! {
                ready = member.ready(self.number - 1) => ready?,
                _ = stopped.wait_for(|count| *count > 0) => return Ok(None),
            }
        }
        let mut live = Live::new(
            self.style,
            &spec,
            point,
            self.setup.points.len(),
            self.number,
        );
        let runner = Runner::new(self.setup.settings(point), self.interrupts.clone());
        let mut run = runner.run(spec, &mut live).await?;
        live.finish();
        run.bias = bias;
        if self.results.experiment.bias.is_none() {
            self.results.experiment.bias = bias;
        }
        self.note_failure(&run);
        let summary = self
            .folder
            .add(&self.setup.experiment, &run)
            .context("cannot write the run's files")?;
        self.spent += summary.aggregated.extra.cost.unwrap_or(0.0);
        let share = summary
            .aggregated
            .extra
            .goodput
            .as_ref()
            .map_or(0.0, |good| good.share);
        let saturated = run.end == RunEnd::Saturated;
        let told = self.style.tell(&summary, self.unit);
        // A terminal that is gone takes no run out of the report.
        self.results.runs.push(summary);
        told?;
        Ok(Some(if saturated { 0.0 } else { share }))
    }

    /// Looks for the highest load that enough requests meet their objectives at.
    async fn search(&mut self, kind: SearchKind, mut point: Point) -> Result<bool> {
        let (most, attainment) = self.setup.search_limit();
        let mut search = LoadSearch::new(1.0, most);
        if matches!(kind, SearchKind::Concurrency) {
            search = search.with_least(1.0);
        }
        while let Some(load) = search.next_load() {
            point.load = self.setup.searched(kind, load)?;
            match self.one(&point).await? {
                Some(share) => search.tell(share >= attainment),
                None => return Ok(false),
            }
        }
        let what = match kind {
            SearchKind::Concurrency => "concurrency",
            SearchKind::Rate => "rate",
        };
        let text = match search.best() {
            Some(best) => format!(
                "{}: the highest {what} at which {:.0} % of requests meet the objectives is {best}",
                point.scenario,
                attainment * 100.0
            ),
            None => format!("{}: no {what} meets the objectives", point.scenario),
        };
        note("found", Colour::Yellow, text);
        Ok(true)
    }

    fn note_failure(&mut self, run: &Run) {
        let failed = run
            .records
            .iter()
            .rev()
            .find_map(|record| match &record.outcome {
                Outcome::Failed(failure) => Some((failure.kind, failure.message.clone())),
                _ => None,
            });
        self.failure = failed.or_else(|| self.failure.take());
    }

    fn conclude(&self, json: bool) -> Result<ExitCode> {
        let files =
            report::write(&self.folder, &self.results).context("cannot write the reports")?;
        let interrupted = *self.interrupts.borrow() > 0;
        let completed = |run: &RunSummary| run.aggregated.num_completed_requests;
        let done: u64 = self.results.runs.iter().map(completed).sum();
        if !json {
            print(format_args!("\n{}\n", markdown(&self.results)))?;
            let page = files.iter().find(|file| file.ends_with("report.html"));
            let page: PathBuf = page
                .cloned()
                .unwrap_or_else(|| self.folder.path().to_owned());
            print(format_args!("Report: {}\n", page.display()))?;
        }
        if done == 0 {
            let what = match &self.failure {
                Some((kind, message)) => format!("{}: {message}", advice(*kind, message)),
                None => "no request was answered".to_owned(),
            };
            note("error", Colour::Red, what);
        }
        Ok(match (interrupted, done) {
            (true, _) => ExitCode::from(INTERRUPTED),
            (false, 0) => ExitCode::FAILURE,
            (false, _) => ExitCode::SUCCESS,
        })
    }
}

/// What a person can do about it.
fn advice(kind: FailureKind, message: &str) -> &'static str {
    match kind {
        FailureKind::Connect | FailureKind::Dns | FailureKind::Tls => {
            "no request was answered, as there is no connection (see --api-base)"
        }
        FailureKind::HttpStatus if message.starts_with("401") || message.starts_with("403") => {
            "no request was answered, as the key is not accepted (see --api-key)"
        }
        FailureKind::HttpStatus if message.starts_with("404") => {
            "no request was answered, as the model or the path is unknown (see --api-model-name)"
        }
        FailureKind::RateLimited => "no request was answered, all were over the rate limit",
        FailureKind::Timeout => "no request was answered in time (see --timeout)",
        _ => "no request was answered",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn experiments_of_the_same_second_have_folders_of_their_own() {
        let base = std::env::temp_dir().join(format!("polyllm-names-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        let names = [(); 3].map(|()| {
            let mut name = "a".to_owned();
            free_name(&base, &mut name).unwrap();
            name
        });
        assert_eq!(names, ["a", "a_2", "a_3"]);
        fs::remove_dir_all(&base).unwrap();
    }
}
