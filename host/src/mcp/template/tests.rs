#![allow(clippy::unwrap_used)]

use iri_string::spec::UriSpec;
use iri_string::template::UriTemplateStr;
use iri_string::template::simple_context::SimpleContext;
use proptest::prelude::*;

use super::*;

fn matches(template: &str, uri: &str) -> bool {
    Template::parse(template).unwrap().matches(uri)
}

#[test]
fn templates_match_what_they_can_make() {
    for (template, uris) in [
        ("file:///a", &["file:///a", "file:///%61"][..]),
        (
            "test://{id}",
            &["test://1", "test://a-b_c~", "test://a%20b"],
        ),
        ("test://{a}/{b}", &["test://x/y", "test://x,y/z"]),
        ("x:{a}-{b}", &["x:1-2", "x:1-2-3"]),
        ("x:{a,b}", &["x:1", "x:1,2"]),
        ("x:/{a:3}", &["x:/a", "x:/abc", "x:/%C3%A4bc"]),
        (
            "file:///{+path}",
            &[
                "file:///a",
                "file:///a/b/c",
                "file:///a?b#c",
                "file:///x/../y/z",
            ],
        ),
        ("x:/a{#f}", &["x:/a", "x:/a#f", "x:/a#f/g?h"]),
        ("x:/a{.ext}", &["x:/a", "x:/a.txt", "x:/a.tar.gz"]),
        ("x:/a{/b,c}", &["x:/a", "x:/a/1", "x:/a/1/2"]),
        ("x:/a{/b*}", &["x:/a", "x:/a/1", "x:/a/1/2/3"]),
        (
            "x:/a{;b,c}",
            &["x:/a", "x:/a;b", "x:/a;b=1", "x:/a;b=1;c=2", "x:/a;c=2"],
        ),
        (
            "x:/a{?q,r}",
            &[
                "x:/a",
                "x:/a?q=",
                "x:/a?q=1",
                "x:/a?r=2",
                "x:/a?q=1&r=2",
                "x:/a?q=/x?y",
            ],
        ),
        ("x:/a{?q*}", &["x:/a", "x:/a?q=1&q=2", "x:/a?k=1&l=2"]),
        ("x:/a?f=1{&q}", &["x:/a?f=1", "x:/a?f=1&q=2"]),
        ("{scheme}://x", &["http://x"]),
        (
            "HTTP://EX%41mple.com/%7e/{x}",
            &["http://example.com/~/1", "HTTP://EXAMPLE.COM/~/1"],
        ),
        ("memo://ä/{x}", &["memo://%C3%A4/1", "memo://ä/1"]),
        ("test://zzy%7az/{x}/yzzy", &["test://zzyzz/1/yzzy"]),
        ("http://h:{port}/", &["http://h:80/"]),
    ] {
        for uri in uris {
            assert!(matches(template, uri), "{template} {uri}");
        }
    }
}

#[test]
fn templates_do_not_match_more() {
    for (template, uris) in [
        (
            "file:///a",
            &["file:///b", "file:///a/", "file:///", "file:///A", ""][..],
        ),
        (
            "test://{id}",
            &[
                "test://",
                "test://a/b",
                "test://a?b",
                "test://a#b",
                "tests://a",
                "xtest://a",
            ],
        ),
        (
            "test://{a}/{b}",
            &["test://x", "test://x/", "test://x/y/z", "test://x/../y/z"],
        ),
        (
            "x:/{a:3}",
            &["x:/", "x:/abcd", "x:/ab%C3%A4d", "x:/%20%20%20%20"],
        ),
        ("file:///{+path}", &["file:///", "http:///a", "file:"]),
        (
            "file:///data/{+path}",
            &[
                "file:///data/../etc/passwd",
                "file:///data/%2e%2e/etc",
                "file:///data",
            ],
        ),
        ("x:/a{.ext}", &["x:/a.", "x:/ab", "x:/a./b"]),
        ("x:/a{/b,c}", &["x:/a/1/2/3", "x:/a//"]),
        (
            "x:/a{?q,r}",
            &[
                "x:/a?s=1",
                "x:/a?r=1&q=2",
                "x:/a&q=1",
                "x:/a?q=1&q=2",
                "x:/a?q",
                "x:/a?q=1#f",
                "x:/a?",
            ],
        ),
        ("x:/a{;b}", &["x:/a;c=1", "x:/a;b=1;b=2"]),
        ("test://{id}", &["test://a b", "test://a\nb", "a"]),
    ] {
        for uri in uris {
            assert!(!matches(template, uri), "{template} {uri}");
        }
    }
}

#[test]
fn what_is_no_template_is_refused() {
    for (template, error) in [
        ("a:{", TemplateError::Brace),
        ("a:}", TemplateError::Brace),
        ("a:{b{c}}", TemplateError::Brace),
        ("a:{}", TemplateError::Expression),
        ("a:{+}", TemplateError::Expression),
        ("a:{!x}", TemplateError::Expression),
        ("a:{x y}", TemplateError::Expression),
        ("a:{x:}", TemplateError::Expression),
        ("a:{x:0}", TemplateError::Expression),
        ("a:{x:12345}", TemplateError::Expression),
        ("a:{x,}", TemplateError::Expression),
        ("a:/{x}/../b", TemplateError::DotSegments),
        ("a:{x:9999}", TemplateError::TooLarge),
    ] {
        assert_eq!(Template::parse(template).unwrap_err(), error, "{template}");
    }
    assert_eq!(
        Template::parse(&"a".repeat(5000)).unwrap_err(),
        TemplateError::TooLarge
    );
}

#[test]
fn what_would_make_others_backtrack_for_ever_is_answered() {
    let template = format!("x:/{}", "{a}-".repeat(200));
    assert!(!matches(
        &template,
        &format!("x:/{}", "a-".repeat(4000))[..8000]
    ));
    assert!(!matches(
        "x:/{+a}{+b}{+c}{+d}!",
        &format!("x:/{}", "a".repeat(8000))
    ));
    assert!(!matches("x:/{+a}", &format!("x:/{}", "a".repeat(MAX_URI))));
}

proptest! {
    /// What another implementation expands is matched.
    #[test]
    fn expansions_match(
        template in prop::collection::vec(prop_oneof!["/[a-z]{0,3}", r"\{[+#./;?&]?[ab](,[ab]\*?)?\}", r"\{[ab]:[1-4]\}"], 1..4),
        a in "[a-zA-Z0-9 /,=&?#._~-]{0,5}[a-z]",
        b in "[a-zA-Z0-9]{1,6}",
    ) {
        let template = format!("x://h/{}", template.concat());
        // A value such as `..` makes dot segments; what they remove is not there to be matched.
        prop_assume!(!a.contains('.'));
        let mut context = SimpleContext::new();
        context.insert("a", a);
        context.insert("b", b);
        let expanded = UriTemplateStr::new(&template).unwrap().expand::<UriSpec, _>(&context).unwrap().to_string();
        match Template::parse(&template) {
            Ok(parsed) => prop_assert!(parsed.matches(&expanded), "{} {}", template, expanded),
            Err(error) => prop_assert_eq!(error, TemplateError::DotSegments),
        }
    }

    #[test]
    fn no_template_makes_it_panic(template in "[a:/{}+#.;?&*,%zZ71]{0,24}", uri in "[a:/+#.;?&*,%zZ71]{0,24}") {
        if let Ok(parsed) = Template::parse(&template) {
            parsed.matches(&uri);
        }
    }
}
