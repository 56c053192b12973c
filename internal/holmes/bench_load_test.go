//go:build bench

package holmes_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const analyze = "/api/v1/incident/analyze"

// measured are the answers of one drive.
type measured struct {
	took      []float64 // ms, of each
	perSecond float64
}

// mixed is a request for every row that answers 200 without waiting on purpose.
func mixed(t *testing.T) [][]byte {
	t.Helper()
	var request map[string]any
	if err := json.Unmarshal(example(t, "incident_request"), &request); err != nil {
		t.Fatal(err)
	}
	var bodies [][]byte
	for _, signal := range slices.Sorted(maps.Keys(rows)) {
		if signal == "" || strings.HasPrefix(signal, "MOCK_FAULT_") {
			continue
		}
		request["signal_type"] = signal
		raw, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, raw)
	}
	return bodies
}

// drive is closed-loop: each caller sends the next request when the last one is answered, until the time is over or
// `most` are sent; 0 bounds nothing. Any answer but 200 fails the bench.
func (b *bench) drive(url string, callers int, span time.Duration, most int64) measured {
	b.Helper()
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	defer client.CloseIdleConnections()
	bodies := mixed(b.T)
	var all sync.WaitGroup
	var mu sync.Mutex
	var sent, failed atomic.Int64
	var took []float64
	begun := time.Now()
	for range callers {
		all.Go(func() {
			var own []float64
			for span == 0 || time.Since(begun) < span {
				n := sent.Add(1)
				if most > 0 && n > most {
					break
				}
				at := time.Now()
				if status, _ := post(b.Context(), &client, url, bodies[int(n)%len(bodies)]); status != http.StatusOK {
					failed.Add(1)
				}
				own = append(own, time.Since(at).Seconds()*1000)
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, own...)
		})
	}
	all.Wait()
	if failed.Load() > 0 {
		b.Errorf("%d of %d answers were not 200", failed.Load(), len(took))
	}
	return measured{took: took, perSecond: float64(len(took)) / time.Since(begun).Seconds()}
}

// post returns the status; an error of the connection is 0.
func post(ctx context.Context, client *http.Client, url string, body []byte) (int, []byte) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+analyze, bytes.NewReader(body))
	if err != nil {
		return 0, nil
	}
	request.Header.Set("Content-Type", "application/json")
	return answered(client, request)
}

func get(ctx context.Context, client *http.Client, url string) (int, []byte) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil
	}
	return answered(client, request)
}

func answered(client *http.Client, request *http.Request) (int, []byte) {
	answer, err := client.Do(request)
	if err != nil {
		return 0, nil
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, nil
	}
	return answer.StatusCode, text
}

func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// processor is the seconds of processor that a process has used, by the kernel's ticks of 10 ms.
func processor(t *testing.T, pid int) float64 {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // from the third on, the state
	sum := 0.0
	for _, ticks := range fields[11:13] {
		n, err := strconv.ParseFloat(ticks, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n / 100
	}
	return sum
}

// resident is the memory of a process in MB: VmRSS, and its parts RssAnon and RssFile.
func resident(t *testing.T, pid int) map[string]float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		if name != "VmRSS" && name != "RssAnon" && name != "RssFile" {
			continue
		}
		kib, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
		if err != nil {
			t.Fatal(err)
		}
		found[name] = kib * 1024 / 1e6
	}
	if len(found) != 3 {
		t.Fatalf("the kernel says of its memory only %v", found)
	}
	return found
}

// scraped are the service's own figures.
type scraped map[string]*dto.MetricFamily

func scrape(t *testing.T, url string) scraped {
	t.Helper()
	status, text := get(t.Context(), http.DefaultClient, url+"/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if status != http.StatusOK || err != nil {
		t.Fatalf("scraping: %d %v", status, err)
	}
	return families
}

// value is the sum over all labels of a gauge or counter, or of what a histogram has seen.
func (s scraped) value(name string) float64 {
	sum := 0.0
	for _, m := range s["holmesgpt_api_"+name].GetMetric() {
		sum += m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetHistogram().GetSampleSum()
	}
	return sum
}

// count is how often a histogram was told something, and within each bound.
func (s scraped) count(name string) (all float64, within map[float64]float64) {
	within = map[float64]float64{}
	for _, m := range s["holmesgpt_api_"+name].GetMetric() {
		all += float64(m.GetHistogram().GetSampleCount())
		for _, bucket := range m.GetHistogram().GetBucket() {
			within[bucket.GetUpperBound()] += float64(bucket.GetCumulativeCount())
		}
	}
	return all, within
}

// between is a quantile of what a histogram was told between two scrapes, evenly spread within a bucket; above the last
// bound it is that bound.
func between(before, after scraped, name string, q float64) float64 {
	was, wasWithin := before.count(name)
	is, isWithin := after.count(name)
	wanted, below, bound := q*(is-was), 0.0, 0.0
	for _, next := range slices.Sorted(maps.Keys(isWithin)) {
		count := isWithin[next] - wasWithin[next]
		if next > 1e9 { // +Inf
			break
		}
		if count >= wanted && count > below {
			return bound + (next-bound)*(wanted-below)/(count-below)
		}
		below, bound = count, next
	}
	return bound
}
