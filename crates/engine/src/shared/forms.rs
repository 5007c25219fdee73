//! Compressed forms of layers: which ones the exports of a build use, and which of them caches have,
//! so that they are not made anew.

use super::SharedCaches;
use acetate_cache::SharedCache;
use acetate_cache::remote::{Attest, FormName, RemoteCache, RemoteForm};
use acetate_image::{FormOrigin, ImageError, ImageLayer, Recipe, StoredForm};
use acetate_oci::{Descriptor, Digest};
use acetate_store::Store;
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The compressed forms that matter to one build.
pub(crate) struct Forms {
    store: Arc<Store>,
    imports: Vec<Source>,
    /// The ids of the keys whose word is taken; none where anybody's is.
    required: Option<BTreeSet<String>>,
    state: Mutex<State>,
}

/// A cache that is asked for forms.
#[derive(Clone)]
struct Source {
    cache: Arc<dyn SharedCache>,
    remote: RemoteCache,
}

#[derive(Default)]
struct State {
    used: BTreeMap<FormName, UsedForm>,
    taken: HashMap<FormName, TakenForm>,
}

/// A form that an output of the build consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsedForm {
    pub(crate) descriptor: Descriptor,
    /// The layer as results have it; the form may be one of its image with other times.
    pub(crate) layer: Digest,
}

/// Where a form came from in this build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TakenForm {
    /// The name of the cache.
    pub(crate) cache: String,
    pub(crate) attest: Attest,
}

/// Whether the uncompressed tars of layers are needed beside their forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tars {
    Needed,
    Unneeded,
}

/// A form that is looked for.
#[derive(Debug, Clone)]
struct Wanted {
    name: FormName,
    recipe: Recipe,
    tar_size: u64,
}

/// What is known of a form here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Here {
    Usable,
    Missing,
}

impl std::fmt::Debug for Forms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Forms")
    }
}

impl Forms {
    pub(crate) fn new(store: &Arc<Store>, caches: &SharedCaches) -> Self {
        let servers = caches.imports.iter().filter_map(|import| {
            Some(Source {
                cache: Arc::clone(&import.opened.cache),
                remote: import.opened.server.clone()?,
            })
        });
        Self {
            store: Arc::clone(store),
            imports: servers.collect(),
            required: caches.required.clone(),
            state: Mutex::default(),
        }
    }

    /// Brings the forms of uncompressed layers that these recipes ask for, where some cache has them,
    /// and gives the layers of which every form is here now: nobody has to compress them.
    ///
    /// Whatever is wrong with a form is as if there were none. With [`Tars::Needed`] the tar of each
    /// of those layers is here, too.
    pub(crate) async fn bring(
        &self,
        layers: &[ImageLayer],
        recipes: &[Recipe],
        tars: Tars,
    ) -> BTreeSet<Digest> {
        let wanted = wanted(layers, recipes);
        if self.imports.is_empty() || wanted.is_empty() {
            return BTreeSet::new();
        }
        let known = join_all(wanted.iter().map(|one| self.look(one, tars))).await;
        let mut usable: Vec<bool> = known.iter().map(|here| *here == Here::Usable).collect();
        let missing: Vec<usize> = (0..wanted.len()).filter(|n| !usable[*n]).collect();
        let names: Vec<FormName> = missing.iter().map(|n| wanted[*n].name.clone()).collect();
        let offers = self.ask(&names).await;
        let takes = missing.iter().zip(offers);
        let takes = takes.map(|(n, offers)| self.take(&wanted[*n], offers, tars));
        let taken = join_all(takes).await;
        for (n, is_taken) in missing.into_iter().zip(taken) {
            usable[n] = is_taken;
        }
        let lacking = wanted.iter().zip(&usable).filter(|(_, usable)| !**usable);
        let lacking: BTreeSet<Digest> = lacking.map(|(one, _)| one.name.diff_id).collect();
        let all = wanted.iter().map(|one| one.name.diff_id);
        all.filter(|layer| !lacking.contains(layer)).collect()
    }

    /// The descriptors of forms that may be relied on without having their bytes, as for a registry
    /// that has them: those that were made or looked into here, and those that a trusted key signed.
    /// All caches are asked in one question.
    pub(crate) async fn descriptors(
        &self,
        layers: &[Digest],
        recipe: Recipe,
    ) -> Vec<Option<Descriptor>> {
        let mut found: Vec<Option<Descriptor>> = layers
            .iter()
            .map(|layer| self.relied_on(layer, recipe))
            .collect();
        let unknown: Vec<usize> = (0..layers.len()).filter(|n| found[*n].is_none()).collect();
        let names = unknown.iter().map(|n| name(layers[*n], recipe));
        let names: Vec<FormName> = names.collect();
        for (n, offers) in unknown.into_iter().zip(self.ask(&names).await) {
            let stored = StoredForm::new(&self.store, layers[n], recipe);
            let signed = offers
                .into_iter()
                .find(|(_, form)| form.signer.is_some() && stored.fits(&form.descriptor));
            found[n] = signed.map(|(_, form)| form.descriptor);
        }
        found
    }

    /// Notes that an output consists of this form.
    pub(crate) fn note_used(&self, diff_id: Digest, recipe: Recipe, form: UsedForm) {
        self.state().used.insert(name(diff_id, recipe), form);
    }

    /// The forms that the outputs consist of, in a fixed order.
    pub(crate) fn used(&self) -> Vec<(FormName, UsedForm)> {
        let state = self.state();
        let used = state.used.iter();
        used.map(|(name, form)| (name.clone(), form.clone()))
            .collect()
    }

    /// Where a form came from, if it came in this build.
    pub(crate) fn taken(&self, name: &FormName) -> Option<TakenForm> {
        self.state().taken.get(name).cloned()
    }

    fn relied_on(&self, layer: &Digest, recipe: Recipe) -> Option<Descriptor> {
        let stored = StoredForm::new(&self.store, *layer, recipe);
        let found = stored.descriptor().and_then(|found| {
            let Some(descriptor) = found else {
                return Ok(None);
            };
            let origin = StoredForm::origin(&self.store, &descriptor.digest)?;
            Ok(self.admits(&origin).then_some(descriptor))
        });
        logged(found).flatten()
    }

    /// Whether a form that is here may be used unread.
    fn admits(&self, origin: &FormOrigin) -> bool {
        match (&self.required, origin) {
            (Some(ids), FormOrigin::Signed(signer)) => ids.contains(signer),
            _ => true,
        }
    }

    /// Looks for a form here; one that this build may not use unread is read.
    async fn look(&self, wanted: &Wanted, tars: Tars) -> Here {
        let (store, wanted) = (Arc::clone(&self.store), wanted.clone());
        let required = self.required.clone();
        let look = move || {
            let stored = StoredForm::new(&store, wanted.name.diff_id, wanted.recipe);
            let Some(form) = stored.find()? else {
                return Ok(Here::Missing);
            };
            let origin = StoredForm::origin(&store, &form.descriptor.digest)?;
            let is_admitted = match (&required, &origin) {
                (Some(ids), FormOrigin::Signed(signer)) => ids.contains(signer),
                _ => true,
            };
            let lacks_tar =
                tars == Tars::Needed && store.blobs().has(&wanted.name.diff_id)?.is_none();
            if is_admitted && !lacks_tar {
                return Ok(Here::Usable);
            }
            if !stored.expand(&form.descriptor, wanted.tar_size)? {
                store.blobs().remove(&form.descriptor.digest)?;
                return Ok(Here::Missing);
            }
            if !is_admitted {
                stored.remember(&form.descriptor, &FormOrigin::Checked);
            }
            Ok::<_, ImageError>(Here::Usable)
        };
        logged(acetate_stdx::offload(look).await).unwrap_or(Here::Missing)
    }

    /// Asks every cache for all forms; for each the offers, in the order of the flags.
    async fn ask(&self, names: &[FormName]) -> Vec<Vec<(&Source, RemoteForm)>> {
        let mut offers: Vec<Vec<(&Source, RemoteForm)>> =
            names.iter().map(|_| Vec::new()).collect();
        if names.is_empty() {
            return offers;
        }
        let questions = self.imports.iter().map(|source| source.remote.forms(names));
        let answers = join_all(questions).await;
        for (source, answers) in self.imports.iter().zip(answers) {
            for (list, answer) in offers.iter_mut().zip(answers) {
                match answer {
                    Some(form) => list.push((source, form)),
                    None => source.remote.miss_form(),
                }
            }
        }
        offers
    }

    /// Takes a form from the first cache that gives it.
    async fn take(&self, wanted: &Wanted, offers: Vec<(&Source, RemoteForm)>, tars: Tars) -> bool {
        for (source, form) in offers {
            match self.take_from(wanted, source, &form, tars).await {
                Ok(()) => {
                    source.remote.note_form();
                    let taken = TakenForm {
                        cache: source.cache.name(),
                        attest: form.attest,
                    };
                    self.state().taken.insert(wanted.name.clone(), taken);
                    return true;
                }
                Err(why) => {
                    let layer = wanted.name.diff_id;
                    tracing::debug!(%layer, ?why, "a compressed form is not used");
                    match why {
                        NotTaken::NoBytes => source.remote.miss_form(),
                        NotTaken::Lost => source.remote.refuse_form(&wanted.name),
                        NotTaken::Wrong => source.remote.blame_form(&wanted.name),
                        // Nothing is wrong with the form.
                        NotTaken::Local => {}
                    }
                }
            }
        }
        false
    }

    async fn take_from(
        &self,
        wanted: &Wanted,
        source: &Source,
        form: &RemoteForm,
        tars: Tars,
    ) -> Result<(), NotTaken> {
        let Wanted {
            name,
            recipe,
            tar_size,
        } = wanted.clone();
        if !StoredForm::new(&self.store, name.diff_id, recipe).fits(&form.descriptor) {
            return Err(NotTaken::Wrong);
        }
        let bytes = form.bytes.as_ref().ok_or(NotTaken::NoBytes)?;
        let fetched = source.cache.fetch(bytes).await;
        fetched.map_err(|_| NotTaken::Lost)?;
        let origin = match &form.signer {
            Some(signer) if tars == Tars::Unneeded => FormOrigin::Signed(signer.clone()),
            _ => FormOrigin::Checked,
        };
        let (store, descriptor) = (Arc::clone(&self.store), form.descriptor.clone());
        let keep = move || {
            let stored = StoredForm::new(&store, name.diff_id, recipe);
            if origin == FormOrigin::Checked && !stored.expand(&descriptor, tar_size)? {
                store.blobs().remove(&descriptor.digest)?;
                return Ok(false);
            }
            stored.remember(&descriptor, &origin);
            Ok::<_, ImageError>(true)
        };
        match logged(acetate_stdx::offload(keep).await) {
            Some(true) => Ok(()),
            Some(false) => Err(NotTaken::Wrong),
            None => Err(NotTaken::Local),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a form that a cache knows is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NotTaken {
    /// Only its name is known.
    NoBytes,
    /// Its bytes did not come.
    Lost,
    /// It holds something else.
    Wrong,
    /// It cannot be kept here.
    Local,
}

fn name(diff_id: Digest, recipe: Recipe) -> FormName {
    FormName {
        diff_id,
        recipe: recipe.id(),
    }
}

/// Every layer in every way, each once.
fn wanted(layers: &[ImageLayer], recipes: &[Recipe]) -> Vec<Wanted> {
    let mut all = BTreeMap::new();
    for layer in layers {
        for recipe in recipes {
            let name = name(layer.diff_id, *recipe);
            let one = Wanted {
                name: name.clone(),
                recipe: *recipe,
                tar_size: layer.descriptor.size,
            };
            all.insert(name, one);
        }
    }
    all.into_values().collect()
}

/// A fault of the store is not this one's to tell: whoever needs the layer meets it again.
fn logged<T>(result: Result<T, ImageError>) -> Option<T> {
    result
        .inspect_err(|error| tracing::debug!(%error, "a compressed form is not used"))
        .ok()
}
