// Command kubectl is Kubernetes' own, in a binary of its own: what every
// component of a cluster sets up before it begins costs a tenth of a second of
// a core, and people, scripts and tests call this one all the time.
package main

import (
	"os"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubeconfigs with an auth provider
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

// main does what kubectl's own does: it prints an error once, in kubectl's
// words, and exits with the code kubectl gives to that error.
func main() {
	logs.GlogSetter(kubectl.GetLogVerbosity(os.Args)) //nolint:errcheck // as upstream
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
