//! The stack file as YAML spells it: every key optional, every scalar text, merge keys still in place.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{Configuration, Function, Isolation, Provider, Stack, TemplateSource};
use crate::{Resources, parse_duration};

pub(super) fn parse_stack(text: &str) -> Result<Stack, serde_yaml_ng::Error> {
    let raw: RawStack = serde_yaml_ng::from_str(text)?;
    Ok(Stack {
        version: raw.version.unwrap_or_default(),
        provider: raw.provider.map(RawProvider::finish).unwrap_or_default(),
        functions: raw.functions.map(RawFunctions::finish).unwrap_or_default(),
        configuration: raw.configuration.map(RawConfiguration::finish).unwrap_or_default(),
    })
}

pub(super) fn parse_environment(text: &str) -> Result<BTreeMap<String, String>, serde_yaml_ng::Error> {
    let raw: RawEnvironmentFile = serde_yaml_ng::from_str(text)?;
    Ok(raw.environment.unwrap_or_default().0)
}

#[derive(Deserialize)]
#[serde(expecting = "a mapping with the key environment")]
struct RawEnvironmentFile {
    environment: Option<TextMap>,
}

#[derive(Deserialize)]
#[serde(expecting = "a mapping with the keys version, provider and functions")]
struct RawStack {
    version: Option<String>,
    provider: Option<RawProvider>,
    functions: Option<RawFunctions>,
    configuration: Option<RawConfiguration>,
}

#[derive(Deserialize)]
#[serde(expecting = "a mapping with the keys name and gateway")]
struct RawProvider {
    name: Option<String>,
    gateway: Option<String>,
}

impl RawProvider {
    fn finish(self) -> Provider {
        Provider { name: self.name.unwrap_or_default(), gateway: self.gateway.unwrap_or_default() }
    }
}

#[derive(Deserialize)]
#[serde(expecting = "a mapping with the keys templates and copy")]
struct RawConfiguration {
    templates: Option<Vec<RawTemplateSource>>,
    copy: Option<Texts>,
}

#[derive(Deserialize)]
#[serde(expecting = "a mapping with the keys name and source")]
struct RawTemplateSource {
    name: Option<String>,
    source: Option<String>,
}

impl RawConfiguration {
    fn finish(self) -> Configuration {
        let finish = |raw: RawTemplateSource| TemplateSource {
            name: raw.name.unwrap_or_default(),
            source: raw.source.unwrap_or_default(),
        };
        Configuration {
            templates: self.templates.unwrap_or_default().into_iter().map(finish).collect(),
            copy: self.copy.unwrap_or_default().finish(),
        }
    }
}

/// Functions in the file's order, each name once.
struct RawFunctions(Vec<(String, RawFunction)>);

impl RawFunctions {
    fn finish(self) -> Vec<Function> {
        self.0.into_iter().map(|(name, raw)| raw.finish(name)).collect()
    }
}

impl<'de> Deserialize<'de> for RawFunctions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FunctionsVisitor)
    }
}

struct FunctionsVisitor;

impl<'de> Visitor<'de> for FunctionsVisitor {
    type Value = RawFunctions;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a mapping of function names to their settings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawFunctions, A::Error> {
        let mut functions: Vec<(String, RawFunction)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if functions.iter().any(|(other, _)| *other == name) {
                return Err(A::Error::custom(format!("function {name:?} stands here twice")));
            }
            let function = map.next_value::<Option<RawFunction>>()?;
            functions.push((name, function.unwrap_or_default()));
        }
        Ok(RawFunctions(functions))
    }
}

/// Declares the raw function once: its keys, and how keys of a merged mapping fill those left out.
macro_rules! raw_function {
    ($($key:ident: $kind:ty,)*) => {
        #[derive(Clone, Default, Deserialize)]
        #[serde(default, expecting = "a mapping of the function's settings")]
        struct RawFunction {
            #[serde(rename = "<<")]
            merge: Option<OneOrMany<RawFunction>>,
            $($key: Option<$kind>,)*
        }

        impl RawFunction {
            /// What stands here wins over what is merged in; of several merged mappings the first wins.
            fn merged(mut self) -> Self {
                for base in self.merge.take().map(|bases| bases.0).unwrap_or_default() {
                    let base = base.merged();
                    $(self.$key = self.$key.or(base.$key);)*
                }
                self
            }
        }
    };
}

raw_function! {
    lang: String,
    handler: String,
    image: String,
    fprocess: String,
    namespace: String,
    environment: TextMap,
    environment_file: Texts,
    secrets: Texts,
    constraints: Texts,
    build_options: Texts,
    labels: TextMap,
    annotations: TextMap,
    build_args: TextMap,
    build_secrets: TextMap,
    limits: TextMap,
    requests: TextMap,
    skip_build: Flag,
    readonly_root_filesystem: Flag,
    platforms: String,
    timeout: Timeout,
    isolation: Isolation,
}

impl RawFunction {
    fn finish(self, name: String) -> Function {
        let raw = self.merged();
        Function {
            name,
            lang: raw.lang.unwrap_or_default(),
            handler: raw.handler.unwrap_or_default(),
            image: raw.image.unwrap_or_default(),
            fprocess: raw.fprocess.unwrap_or_default(),
            namespace: raw.namespace.unwrap_or_default(),
            environment: raw.environment.unwrap_or_default().0,
            environment_file: raw.environment_file.unwrap_or_default().finish(),
            secrets: raw.secrets.unwrap_or_default().finish(),
            constraints: raw.constraints.unwrap_or_default().finish(),
            build_options: raw.build_options.unwrap_or_default().finish(),
            labels: raw.labels.unwrap_or_default().0,
            annotations: raw.annotations.unwrap_or_default().0,
            build_args: raw.build_args.unwrap_or_default().0,
            build_secrets: raw.build_secrets.unwrap_or_default().0,
            limits: raw.limits.unwrap_or_default().into_resources(),
            requests: raw.requests.unwrap_or_default().into_resources(),
            skip_build: raw.skip_build.unwrap_or_default().0,
            readonly_root_filesystem: raw.readonly_root_filesystem.unwrap_or_default().0,
            platforms: raw.platforms.unwrap_or_default(),
            timeout: raw.timeout.unwrap_or_default().0,
            isolation: raw.isolation,
        }
    }
}

/// What a merge key takes: one mapping, or a list of them. An untagged enum would buffer, and turn `1.10` to a number.
#[derive(Clone)]
struct OneOrMany<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor(PhantomData))
    }
}

struct OneOrManyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a mapping or a list of mappings, by their aliases")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OneOrMany<T>, A::Error> {
        Ok(OneOrMany(vec![T::deserialize(MapAccessDeserializer::new(map))?]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<OneOrMany<T>, A::Error> {
        Ok(OneOrMany(Vec::deserialize(SeqAccessDeserializer::new(sequence))?))
    }
}

/// A list of text; null is empty.
#[derive(Clone, Default, Deserialize)]
struct Texts(Vec<Option<String>>);

impl Texts {
    fn finish(self) -> Vec<String> {
        self.0.into_iter().map(Option::unwrap_or_default).collect()
    }
}

/// A map of text to text; null is empty.
#[derive(Clone, Default)]
struct TextMap(BTreeMap<String, String>);

impl TextMap {
    fn into_resources(mut self) -> Resources {
        let mut take = |key: &str| self.0.remove(key).unwrap_or_default();
        Resources {
            memory: take("memory"),
            cpu: take("cpu"),
            nvidia_gpu: take("nvidia.com/gpu"),
            amd_gpu: take("amd.com/gpu"),
            intel_gpu: take("intel.com/gpu"),
        }
    }
}

impl<'de> Deserialize<'de> for TextMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TextMapVisitor)
    }
}

struct TextMapVisitor;

impl<'de> Visitor<'de> for TextMapVisitor {
    type Value = TextMap;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a mapping of names to text")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextMap, A::Error> {
        let mut texts = BTreeMap::new();
        let mut merged = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == "<<" {
                merged.extend(map.next_value::<OneOrMany<TextMap>>()?.0);
                continue;
            }
            match texts.entry(key) {
                Entry::Occupied(twice) => {
                    return Err(A::Error::custom(format!("key {:?} stands here twice", twice.key())));
                }
                Entry::Vacant(room) => {
                    room.insert(map.next_value::<Option<String>>()?.unwrap_or_default());
                }
            }
        }
        for (key, text) in merged.into_iter().flat_map(|map| map.0) {
            texts.entry(key).or_insert(text);
        }
        Ok(TextMap(texts))
    }
}

/// A boolean in any spelling of YAML 1.1, as the peers' parser takes them.
#[derive(Clone, Copy, Default)]
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parsed(|text: &str| match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Ok(Self(true)),
            "false" | "no" | "off" | "n" => Ok(Self(false)),
            _ => Err(format!("invalid value: {text:?}, expected true or false")),
        }))
    }
}

/// A Go duration, kept as text.
#[derive(Clone, Default)]
struct Timeout(String);

impl<'de> Deserialize<'de> for Timeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parsed(|text: &str| {
            parse_duration(text).map_err(|error| error.to_string())?;
            Ok(Self(text.to_owned()))
        }))
    }
}

/// Text with a parser of its own. The parser runs inside the visitor: only there does an error get its place.
struct Parsed<F>(F);

impl<T, F: FnOnce(&str) -> Result<T, String>> Visitor<'_> for Parsed<F> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}
