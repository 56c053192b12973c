package settings

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The page tells of every setting: key, where else it may come from, default and, of those that only the file has, what is allowed;
// and of no key that is not there.
func TestPageTellsEverySetting(t *testing.T) {
	content, err := os.ReadFile("../../../docs/spec/aianalysis.md")
	if err != nil {
		t.Fatal(err)
	}
	_, running, found := strings.Cut(string(content), "\n## Running it\n")
	if !found {
		t.Fatal("the page has no line ## Running it")
	}
	running, _, _ = strings.Cut(running, "\n## ")
	keys := map[string]bool{}
	for _, o := range (&Settings{}).options() {
		keys[o.key] = true
		if strings.HasPrefix(o.key, "logging.") { // shares a row with the flags of the logger
			if !strings.Contains(running, "`"+o.key+"`") || !strings.Contains(running, "`"+o.standard+"`") {
				t.Errorf("the page does not tell of %s, default %s", o.key, o.standard)
			}
			continue
		}
		standard := "none"
		if o.standard != "" {
			standard = "`" + o.standard + "`"
		}
		row := fmt.Sprintf("\n| `%s` | %s | %s |\n", o.key, standard, o.kind.allowed)
		if o.flag != "" {
			env := ""
			if o.env != "" {
				env = "`" + o.env + "` "
			}
			row = fmt.Sprintf("\n| `--%s` | %s| `%s` | %s |\n", o.flag, env, o.key, standard)
		}
		if !strings.Contains(running, row) {
			t.Errorf("the page does not have %s", strings.TrimSpace(row))
		}
	}
	for _, m := range regexp.MustCompile("\n\\|[^\n]*`([a-z]+\\.[a-zA-Z.]+)`").FindAllStringSubmatch(running, -1) {
		if !keys[m[1]] {
			t.Errorf("there is no setting %s", m[1])
		}
	}
}
