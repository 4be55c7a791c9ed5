package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// Reads plain scalars of YAML, one a line; prints each with what kubectl makes of it. For scalars.tsv beside it, with words
// to add at its end:
//
//	go mod init scalars && go get sigs.k8s.io/yaml@v1.6.0 k8s.io/apimachinery@v0.34.1
//	cut -f1 scalars.tsv | go run scalars.go > scalars.new
func main() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		word, _, _ := strings.Cut(in.Text(), "\t")
		j, err := yaml.YAMLToJSON([]byte("v: " + word + "\n"))
		if err != nil {
			fmt.Printf("%s\t!\t%s\n", word, "refused")
			continue
		}
		var m map[string]interface{}
		if err := utiljson.Unmarshal(j, &m); err != nil {
			fmt.Printf("%s\t!\t%s\n", word, "refused")
			continue
		}
		out, _ := utiljson.Marshal(m["v"])
		kind := map[string]string{"int64": "int", "float64": "float", "string": "text", "bool": "bool", "<nil>": "null", "map[string]interface {}": "map", "[]interface {}": "list"}[fmt.Sprintf("%T", m["v"])]
		fmt.Printf("%s\t%s\t%s\n", word, kind, out)
	}
}
