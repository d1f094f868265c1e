// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// runtimeKey is what the runtime takes; it is in no log.
const runtimeKey = "app-key-of-a-runtime-of-a-test"

// runtime speaks as much of Dify's Service API as a workflow needs. Its runs go on until
// they are told to end.
type runtime struct {
	server *httptest.Server

	mu    sync.Mutex
	runs  int
	ends  map[string]chan struct{} // by task
	stops map[string]int
}

func newRuntime(t testing.TB) *runtime {
	t.Helper()
	rt := &runtime{ends: map[string]chan struct{}{}, stops: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/workflows/run", rt.begin)
	mux.HandleFunc("POST /v1/workflows/tasks/{task}/stop", func(w http.ResponseWriter, r *http.Request) {
		rt.mu.Lock()
		defer rt.mu.Unlock()
		rt.stops[r.PathValue("task")]++
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, `{"result":"success"}`)
	})
	mux.HandleFunc("GET /v1/workflows/run/{run}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"id":%q,"workflow_id":"w","status":"succeeded","outputs":{"a":1},"error":null,"total_steps":1,"total_tokens":0,"created_at":1700000000,"finished_at":1700000001,"elapsed_time":1}`, r.PathValue("run"))
	})
	rt.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+runtimeKey {
			http.Error(w, "{}", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		rt.server.CloseClientConnections() // runs that nobody ended
		rt.server.Close()
	})
	return rt
}

func (rt *runtime) begin(w http.ResponseWriter, r *http.Request) {
	rt.mu.Lock()
	rt.runs++
	task, run := fmt.Sprintf("00000000-0000-4000-8000-%012d", rt.runs), fmt.Sprintf("00000000-0000-4000-9000-%012d", rt.runs)
	end := make(chan struct{})
	rt.ends[task] = end
	rt.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprintf(w, "data: "+runFirst+"\n\n", task, run)
	_ = http.NewResponseController(w).Flush()
	select {
	case <-end:
		_, _ = fmt.Fprintf(w, "data: "+runLast+"\n\n", task, run)
	case <-r.Context().Done():
	}
}

// end lets a run end.
func (rt *runtime) end(task string) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	close(rt.ends[task])
}

// stopped counts how often a run was to be stopped.
func (rt *runtime) stopped(task string) int {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	return rt.stops[task]
}
