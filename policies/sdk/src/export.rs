//! From a type that implements [`Policy`](crate::Policy) to the exports of a component.

/// Makes a component of a policy: exports the named hooks and no other.
///
/// The hooks are `settings`, `inventory`, `list_filter`, `call_gate`, `result_gate`, `client_request_gate`,
/// `discovery_surface` and `review`. Name `settings` if the policy's settings are not `()`. Once in a crate, whose
/// `crate-type` has `cdylib`.
///
/// ```ignore
/// witgate_policy::export!(MyPolicy: settings, list_filter, call_gate);
/// ```
///
/// A hook that does not exist is refused on every target:
///
/// ```compile_fail
/// # struct Mine;
/// # impl witgate_policy::Policy for Mine {
/// #     type Settings = ();
/// #     fn new(_: ()) -> Result<Self, String> { Ok(Self) }
/// # }
/// witgate_policy::export!(Mine: call_gat);
/// ```
#[macro_export]
macro_rules! export {
    ($policy:ty: $($hook:ident),+ $(,)?) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            static POLICY: ::std::sync::OnceLock<$policy> = ::std::sync::OnceLock::new();

            struct Component;

            impl $crate::rt::Component for Component {
                type Policy = $policy;
                const CONFIGURABLE: bool = false $(|| $crate::__is_settings!($hook))+;

                fn cell() -> &'static ::std::sync::OnceLock<$policy> {
                    &POLICY
                }
            }

            $($crate::__export_hook!($hook);)+
        };

        #[cfg(not(target_arch = "wasm32"))]
        const _: () = {
            $($crate::__known_hook!($hook);)+
            const fn is_a_policy<P: $crate::Policy>() {}
            is_a_policy::<$policy>();
        };
    };
}

/// One hook's exports.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_hook {
    (settings) => {
        $crate::bindings::settings::export!(Component with_types_in $crate::bindings::settings);
    };
    (inventory) => {
        $crate::bindings::inventory::export!(Component with_types_in $crate::bindings::inventory);
    };
    (list_filter) => {
        $crate::bindings::list_filter::export!(Component with_types_in $crate::bindings::list_filter);
    };
    (call_gate) => {
        $crate::bindings::call_gate::export!(Component with_types_in $crate::bindings::call_gate);
    };
    (result_gate) => {
        $crate::bindings::result_gate::export!(Component with_types_in $crate::bindings::result_gate);
    };
    (client_request_gate) => {
        $crate::bindings::client_request_gate::export!(Component with_types_in $crate::bindings::client_request_gate);
    };
    (discovery_surface) => {
        $crate::bindings::discovery_surface::export!(Component with_types_in $crate::bindings::discovery_surface);
    };
    (review) => {
        $crate::bindings::review::export!(Component with_types_in $crate::bindings::review);
    };
    ($other:ident) => {
        $crate::__known_hook!($other);
    };
}

/// Whether a hook is `settings`.
#[doc(hidden)]
#[macro_export]
macro_rules! __is_settings {
    (settings) => {
        true
    };
    ($other:ident) => {
        false
    };
}

/// Refuses a hook that does not exist, also where nothing is exported.
#[doc(hidden)]
#[macro_export]
macro_rules! __known_hook {
    (settings) => {};
    (inventory) => {};
    (list_filter) => {};
    (call_gate) => {};
    (result_gate) => {};
    (client_request_gate) => {};
    (discovery_surface) => {};
    (review) => {};
    ($other:ident) => {
        compile_error!(concat!(
            "`",
            stringify!($other),
            "` is no hook: expected settings, inventory, list_filter, call_gate, \
             result_gate, client_request_gate, discovery_surface or review"
        ));
    };
}

/// What [`export!`](crate::export!) needs at run time. Not for use by hand.
#[doc(hidden)]
pub mod rt {
    use std::sync::OnceLock;

    use crate::bindings;
    use crate::bindings::types::{Call, Change, Context, Denial, Item, Server};
    use crate::host::Imports;
    use crate::{
        Admission, Catalogue, ClientRequest, Decided, Decision, Entry, Locked, Policy, Refusal,
        Ruling, Verdict, Withheld,
    };

    /// The component made of a policy.
    pub trait Component: 'static {
        /// The policy.
        type Policy: Policy;

        /// Whether it exports `settings`.
        const CONFIGURABLE: bool;

        /// Where the instance keeps the policy.
        fn cell() -> &'static OnceLock<Self::Policy>;
    }

    /// The instance's policy. Traps where a host forgot `configure`: to judge by defaults instead could open.
    fn policy<C: Component>() -> &'static C::Policy {
        C::cell().get_or_init(|| {
            assert!(
                !C::CONFIGURABLE,
                "a hook was called before settings.configure"
            );
            match C::Policy::new(Default::default()) {
                Ok(policy) => policy,
                Err(error) => panic!("the policy refuses its default settings: {error}"),
            }
        })
    }

    /// Reads settings and makes the policy; blank text and `null` stand for no settings.
    pub fn configured<P: Policy>(settings_json: &str) -> Result<P, String> {
        let settings = match settings_json.trim() {
            "" | "null" => Default::default(),
            text => serde_json::from_str(text).map_err(|error| located::<P>(text, &error))?,
        };
        P::new(settings)
    }

    /// What is wrong with settings, and where: the person wrote a table of keys, not this text's lines and columns.
    #[cold]
    fn located<P: Policy>(text: &str, error: &serde_json::Error) -> String {
        let mut again = serde_json::Deserializer::from_str(text);
        match serde_path_to_error::deserialize::<_, P::Settings>(&mut again) {
            Err(found) if found.path().iter().len() > 0 => {
                format!("settings: {}: {}", found.path(), found.inner())
            }
            _ => format!("settings: {error}"),
        }
    }

    impl<C: Component> bindings::settings::exports::witgate::policy::settings::Guest for C {
        fn configure(settings_json: String) -> Result<(), String> {
            let policy = configured(&settings_json)?;
            C::cell()
                .set(policy)
                .map_err(|_| "configure was called twice on one instance".to_owned())
        }
    }

    impl<C: Component> bindings::inventory::exports::witgate::policy::inventory::Guest for C {
        fn observe(server: Server, catalogue: Catalogue, now_ms: u64) -> Vec<Change> {
            policy::<C>().observe(&Imports, &server, &catalogue, now_ms)
        }
    }

    impl<C: Component> bindings::list_filter::exports::witgate::policy::list_filter::Guest for C {
        fn filter(context: Context, items: Vec<Item>) -> Vec<Option<Denial>> {
            policy::<C>().filter(&Imports, &context, &items)
        }
    }

    impl<C: Component> bindings::call_gate::exports::witgate::policy::call_gate::Guest for C {
        fn check(context: Context, call: Call) -> Verdict {
            policy::<C>().check(&Imports, &context, &call)
        }
    }

    impl<C: Component> bindings::result_gate::exports::witgate::policy::result_gate::Guest for C {
        fn inspect(context: Context, call: Call, outcome: String) -> Ruling {
            policy::<C>().inspect(&Imports, &context, &call, &outcome)
        }
    }

    impl<C: Component>
        bindings::client_request_gate::exports::witgate::policy::client_request_gate::Guest for C
    {
        fn admit(context: Context, request: ClientRequest) -> Admission {
            policy::<C>().admit(&Imports, &context, &request)
        }
    }

    impl<C: Component>
        bindings::discovery_surface::exports::witgate::policy::discovery_surface::Guest for C
    {
        fn surface(context: Context, withheld: Vec<Withheld>) -> Vec<Option<Locked>> {
            policy::<C>().surface(&Imports, &context, &withheld)
        }
    }

    impl<C: Component> bindings::review::exports::witgate::policy::review::Guest for C {
        fn entries(server: Option<String>) -> Vec<Entry> {
            policy::<C>().entries(&Imports, server.as_deref())
        }

        fn decide(decision: Decision) -> Result<Decided, Refusal> {
            policy::<C>().decide(&Imports, &decision)
        }
    }
}
