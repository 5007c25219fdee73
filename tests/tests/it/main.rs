//! End-to-end tests of the `acetate` program.
//!
//! **What.** Each test makes a world of files, runs the program in it as a user would, and looks at
//! what came out: exit codes, words, images, and what is left in the state directory.
//!
//! **Main types.** Those of `acetate_tests`.
//!
//! **Invariants.** No test knows the product's code. No internet, and no sleep that a condition
//! could replace.
//!
//! **Not here.** Measurements, which are in `benches`.

mod add_remote;
mod args;
mod attestations;
mod attestations_more;
mod bad_base;
mod bad_dockerfile;
mod bad_flags;
mod bad_store;
mod bases;
mod behaviours;
mod breaking_mounts;
mod breaking_sources;
mod builds;
mod cache;
mod cache_commands;
mod cache_forced;
mod cache_pairs;
mod cases;
mod checks;
mod config;
mod contexts;
mod copy_link;
mod copy_links;
mod copy_owner;
mod copy_paths;
mod copy_unpack;
mod determinism;
mod differential;
mod engines;
mod explain;
mod explain_forms;
mod far_engines;
mod flags;
mod full_disk;
mod heredocs;
mod ignore;
mod image_faults;
mod images;
mod isolation;
mod killed;
mod layers;
mod load;
mod mount_tars;
mod outputs;
mod outputs_attributes;
mod outputs_images;
mod outputs_trees;
mod peers;
mod platforms;
mod progress;
mod prune;
mod push;
mod push_faults;
mod referrers;
mod registry;
mod run_cache;
mod run_cases;
mod run_command;
mod run_mounts;
mod run_secrets;
mod run_ssh;
mod run_step;
mod shared_cache;
mod shared_clocks;
mod shared_explain;
mod shared_faults;
mod shared_fleet;
mod shared_forms;
mod shared_listings;
mod shared_local;
mod shared_mounts;
mod shared_pairs;
mod shared_registry;
mod shared_signed;
mod shared_tokens;
mod together;
mod tools;
mod transfers;
mod verify;
mod waiting;

/// A module that nobody names here would be no test at all.
#[test]
fn no_file_of_this_directory_is_forgotten() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = include_str!("main.rs");
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let named = name == "main" || main.contains(&format!("\nmod {name};\n"));
        assert!(named, "`{}` is not in main.rs", path.display());
    }
}
