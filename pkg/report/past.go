package report

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/kubernaut-ai/kubernaut/pkg/stage"
)

// Past is how many seconds each stage usually took when it had something to do: the median over the newest runs whose
// folders are in out, at most that many. A folder without a readable run.json is passed over: its run was killed.
func Past(out string, most int) map[string]float64 {
	folders, _ := filepath.Glob(filepath.Join(out, "*-*", "run.json")) // the pattern is well-formed
	slices.Sort(folders)
	slices.Reverse(folders)
	took, read := map[string][]float64{}, 0
	for _, file := range folders {
		dir := filepath.Dir(file)
		if info, err := os.Lstat(dir); err != nil || !info.IsDir() || read == most {
			continue
		}
		r, err := Read(dir)
		if err != nil {
			continue
		}
		read++
		for _, s := range r.Stages {
			if s.State == stage.Done {
				took[s.Name] = append(took[s.Name], s.Wall().Seconds())
			}
		}
	}
	median := map[string]float64{}
	for name, all := range took {
		slices.Sort(all)
		median[name] = all[len(all)/2]
	}
	return median
}
