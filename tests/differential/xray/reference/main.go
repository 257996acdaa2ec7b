// The collector's exporter as a filter: lines { "options": {...}, "traces": OTLP/JSON } in, the documents of each as a
// JSON list a line out. build_reference puts it into the exporter's own module, whose translator is internal.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/awsxrayexporter/internal/translator"
)

type options struct {
	Indexed []string `json:"indexed_attributes"`
	All     bool     `json:"index_all_attributes"`
	Groups  []string `json:"aws_log_groups"`
}

func one(line []byte) (out []json.RawMessage) {
	var o struct {
		Options options         `json:"options"`
		Traces  json.RawMessage `json:"traces"`
	}
	defer func() {
		if r := recover(); r != nil {
			text, _ := json.Marshal(map[string]string{"panic": fmt.Sprint(r)})
			out = append(out, text)
		}
	}()
	if err := json.Unmarshal(line, &o); err != nil {
		panic(err)
	}
	u := ptrace.JSONUnmarshaler{}
	td, err := u.UnmarshalTraces(o.Traces)
	if err != nil {
		panic(err)
	}
	for i := 0; i < td.ResourceSpans().Len(); i++ {
		rs := td.ResourceSpans().At(i)
		for j := 0; j < rs.ScopeSpans().Len(); j++ {
			spans := rs.ScopeSpans().At(j).Spans()
			for k := 0; k < spans.Len(); k++ {
				docs, err := translator.MakeSegmentDocuments(spans.At(k), rs.Resource(), o.Options.Indexed, o.Options.All, o.Options.Groups, true)
				if err != nil {
					text, _ := json.Marshal(map[string]string{"error": err.Error()})
					out = append(out, text)
					continue
				}
				for _, d := range docs {
					out = append(out, json.RawMessage(d))
				}
			}
		}
	}
	return out
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 64<<20)
	w := bufio.NewWriter(os.Stdout)
	defer w.Flush()
	for in.Scan() {
		list := one(in.Bytes())
		if list == nil {
			list = []json.RawMessage{}
		}
		text, err := json.Marshal(list)
		if err != nil {
			panic(err)
		}
		w.Write(append(text, '\n'))
	}
}
