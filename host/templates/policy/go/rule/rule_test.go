package rule

import "testing"

func TestANameWithTheWordIsDenied(t *testing.T) {
	if err := Configure(`{"word": "Delete"}`); err != nil {
		t.Fatal(err)
	}
	if !Denies("repo_DELETE") || Denies("read_repo") {
		t.Error("the word does not decide")
	}
	if err := Configure(`{}`); err != nil || Denies("repo_delete") {
		t.Error("without a word, something is denied")
	}
}

func TestSettingsThatNobodyKnowsAreRefused(t *testing.T) {
	for _, settings := range []string{`{"words": "x"}`, `{"Word": "x"}`, `{"word": 3}`, `{"word": ""}`, `[]`} {
		if Configure(settings) == nil {
			t.Error(settings)
		}
	}
}
