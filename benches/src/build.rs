use acetate_frontend::{
    Need, PinnedImage, Pins, PlanRequest, Planned, SourceFile, draft, lower, parse,
};
use acetate_graph::{Op, Vertex};
use acetate_oci::{Digest, ImageConfig, Platform};
use std::time::{Duration, Instant};

/// How much was made of a Dockerfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// Lines of the file.
    pub n_lines: usize,
    /// Vertices of the graph.
    pub n_vertices: usize,
    /// Inputs of all vertices.
    pub n_edges: usize,
    /// Facts that planning asked for.
    pub n_needs: usize,
    /// How often it asked.
    pub n_rounds: usize,
    /// Lines of history of the image.
    pub n_history: usize,
    /// The names and environments of all steps, in bytes.
    pub n_bytes: usize,
    /// How long reading, planning and lowering took, without what answers questions and frees memory.
    pub time: Duration,
}

/// Adds up the time of some pieces of work.
#[derive(Default)]
struct Watch(Duration);

impl Watch {
    fn during<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let made = work();
        self.0 += start.elapsed();
        made
    }
}

/// Reads, plans and lowers a Dockerfile; every image and every file is there.
///
/// # Panics
/// When the Dockerfile cannot be built.
pub fn build(dockerfile: String) -> Built {
    let mut watch = Watch::default();
    let source = watch.during(|| SourceFile::new("Dockerfile", dockerfile));
    let parsed = watch.during(|| parse(&source));
    assert!(!parsed.has_errors(), "{:?}", parsed.diagnostics);
    let request = PlanRequest::new(Platform::host());
    let mut pins = Pins::default();
    let (mut n_needs, mut n_rounds) = (0, 0);
    let plan = loop {
        let planned = watch.during(|| draft(&parsed.ast, &request, &pins));
        let planned = planned.expect("the file can be planned");
        let (needs, plan) = match planned {
            Planned::Plan(plan) => (plan.needs.clone(), Some(plan)),
            Planned::Needs(needs) => (needs, None),
        };
        n_needs += needs.len();
        n_rounds += 1;
        for need in &needs {
            answer(need, &mut pins);
        }
        if let Some(plan) = plan {
            break plan;
        }
    };
    let lowered = watch.during(|| lower(&plan, &pins));
    let lowered = lowered.expect("the plan can be lowered");
    Built {
        n_lines: source.n_lines() as usize,
        n_vertices: lowered.graph.len(),
        n_edges: lowered
            .graph
            .vertices()
            .iter()
            .map(|it| it.inputs.len())
            .sum(),
        n_needs,
        n_rounds,
        n_history: lowered.images.iter().map(|it| it.history.len()).sum(),
        n_bytes: lowered.graph.vertices().iter().map(size).sum(),
        time: watch.0,
    }
}

fn size(vertex: &Vertex) -> usize {
    let env = match &vertex.op {
        Op::Exec(exec) => exec.env.iter().map(|line| line.len()).sum(),
        _ => 0,
    };
    vertex.meta.name.len() + env
}

fn answer(need: &Need, pins: &mut Pins) {
    match need {
        Need::Selection(spec, _) => {
            let digest = Digest::of(spec.sources.concat().as_bytes());
            pins.selections.insert(spec.clone(), digest);
        }
        Need::Image(need, _) => {
            let mut config = ImageConfig::scratch(&need.platform);
            config.rootfs.diff_ids = vec![Digest::of(b"layer")];
            let image = PinnedImage {
                manifest: Digest::of(b"manifest"),
                platform: need.platform.clone(),
                config,
                n_layers: 1,
            };
            pins.images.insert(need.clone(), image);
        }
        Need::Remote(need, _) => panic!("nothing is fetched: {need:?}"),
    }
}
